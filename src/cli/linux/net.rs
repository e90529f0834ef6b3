//! `linux net`: interfaces and sockets.

use std::io::Write;

use clap::Args as ClapArgs;

use super::super::exit::{Failure, Outcome};
use super::super::shared::InputArgs;
use super::super::{style, width};
use super::{How, ask, outcome};
use crate::os::linux::{net, tasks};
use crate::render;
use crate::render::linux::head_json::Head;
use crate::render::linux::net::{self as table, NetOptions};
use crate::render::linux::net_json::NetDocument;

/// Arguments of `linux net`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze linux net vm.mig
  savevm-analyze linux net vm.mig --sockets | grep listening
  savevm-analyze linux net vm.mig --json | jq '.namespaces[].interfaces[].name'

Interfaces and sockets are listed by network namespace. RECV is what was received and not read, SEND what was sent and not
acknowledged, in bytes; for a TCP socket that listens they are the connections that wait and how many may.")]
pub struct NetArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Print only interfaces.
    #[arg(long, conflicts_with_all = ["sockets", "json"])]
    pub interfaces: bool,
    /// Print only sockets.
    #[arg(long, conflicts_with = "json")]
    pub sockets: bool,
    #[command(flatten)]
    pub how: How,
}

/// Runs `linux net`.
pub fn run(a: &NetArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    ask(&a.input, &a.how, |image, guest| {
        let tasks = tasks::tasks(guest, false)?;
        let addresses: Vec<(u64, u64)> = tasks.list.iter().map(|t| (t.address, t.pid)).collect();
        let mut found = net::net(guest, &addresses)?;
        found.problems.extend(tasks.problems);
        if a.how.json {
            let head = Head::new(image, guest, &found.problems);
            render::pretty(&mut *out, &NetDocument::new(head, &found))?;
        } else {
            let o = NetOptions {
                interfaces: !a.sockets,
                sockets: !a.interfaces,
                width: width::of_table(),
                paint: &style::paint,
            };
            table::print(out, &found, &tasks.list, &o)?;
        }
        outcome(out, image, &found.problems, found.namespaces.is_empty())
    })
}
