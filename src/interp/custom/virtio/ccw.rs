//! What the channel transport writes before the device: vmsd `s390_virtio_ccw_dev` (`virtio_ccw_save_config` in
//! `hw/s390x/virtio-ccw.c`), which the description leaves out.
//!
//! | bytes | what | where |
//! |---|---|---|
//! | 366 | subchannel: addresses, SCHIB, sense data, the channel program's state | `vmstate_subch_dev` in `hw/s390x/css.c` |
//! | … | subsection `s390_subch_dev/orb` | 〃 |
//! | 3 × 12 | indicators: be32 length, be64 address | `vmstate_ind_addr` in `hw/s390x/ccw-device.c` |
//! | 2 | config_vector | `hw/s390x/virtio-ccw.c` |
//! | 8 | ind_offset of the adapter routes, subsection `s390_adapter_info/summary_offset` | `hw/s390x/css.c` |
//! | 1, 4 | thinint_isc, revision (-1: not set) | `hw/s390x/virtio-ccw.c` |

use crate::error::Result;
use crate::interp::custom::Builder;

const ORB: &str = "s390_subch_dev/orb";
const SUMMARY_OFFSET: &str = "s390_adapter_info/summary_offset";
/// Commands that a device's sense id can list.
const SENSE_COMMANDS: usize = 62;

pub(super) fn read(b: &mut Builder<'_>) -> Result<()> {
    b.vmsd("proxy", "s390_virtio_ccw_dev", 1, |b| {
        b.vmsd("parent_obj", "s390_ccw_dev", 1, |b| b.vmsd("sch", "s390_subch_dev", 1, subchannel))?;
        for name in ["indicators", "indicators2", "summary_indicator"] {
            b.group(name, |b| {
                b.be32("len")?;
                b.be64("addr").map(drop)
            })?;
        }
        b.be16("config_vector")?;
        b.vmsd("routes", "s390_adapter_routes", 1, |b| {
            b.vmsd("adapter", "s390_adapter_info", 1, |b| {
                b.be64("ind_offset")?;
                if starts(b, SUMMARY_OFFSET) {
                    b.subsection(SUMMARY_OFFSET, |b, _| b.be32("summary_offset").map(drop))?;
                }
                Ok(())
            })
        })?;
        b.u8("thinint_isc")?;
        b.int("revision", 4).map(drop)
    })
}

fn starts(b: &Builder<'_>, name: &str) -> bool {
    b.peek_subsection().is_some_and(|(n, _)| n == name)
}

fn subchannel(b: &mut Builder<'_>) -> Result<()> {
    b.u8("cssid")?;
    b.u8("ssid")?;
    b.be16("schid")?;
    b.be16("devno")?;
    b.bool("thinint_active")?;
    b.vmsd("curr_status", "s390_schib", 1, |b| {
        b.vmsd("pmcw", "s390_pmcw", 1, path_management)?;
        b.vmsd("scsw", "s390_scsw", 1, status)?;
        b.be64("mba")?;
        b.bytes("mda", 4).map(drop)
    })?;
    b.bytes("sense_data", 32)?;
    b.be64("channel_prog")?;
    b.vmsd("last_cmd", "s390_ccw1", 1, |b| {
        b.u8("cmd_code")?;
        b.u8("flags")?;
        b.be16("count")?;
        b.be32("cda").map(drop)
    })?;
    b.bool("last_cmd_valid")?;
    b.vmsd("id", "s390_sense_id", 1, sense_id)?;
    b.bool("ccw_fmt_1")?;
    b.u8("ccw_no_data_cnt")?;
    if starts(b, ORB) {
        b.subsection(ORB, |b, _| {
            b.vmsd("orb", "s390_orb", 1, |b| {
                b.be32("intparm")?;
                b.be16("ctrl0")?;
                b.u8("lpm")?;
                b.u8("ctrl1")?;
                b.be32("cpa").map(drop)
            })
        })?;
    }
    Ok(())
}

fn path_management(b: &mut Builder<'_>) -> Result<()> {
    b.be32("intparm")?;
    b.be16("flags")?;
    b.be16("devno")?;
    b.u8("lpm")?;
    b.u8("pnom")?;
    b.u8("lpum")?;
    b.u8("pim")?;
    b.be16("mbi")?;
    b.u8("pom")?;
    b.u8("pam")?;
    b.bytes("chpid", 8)?;
    b.be32("chars").map(drop)
}

fn status(b: &mut Builder<'_>) -> Result<()> {
    b.be16("flags")?;
    b.be16("ctrl")?;
    b.be32("cpa")?;
    b.u8("dstat")?;
    b.u8("cstat")?;
    b.be16("count").map(drop)
}

fn sense_id(b: &mut Builder<'_>) -> Result<()> {
    b.u8("reserved")?;
    b.be16("cu_type")?;
    b.u8("cu_model")?;
    b.be16("dev_type")?;
    b.u8("dev_model")?;
    b.u8("unused")?;
    b.array("ciw", |b| {
        (0..SENSE_COMMANDS).try_for_each(|_| {
            b.group("ciw", |b| {
                b.u8("type")?;
                b.u8("command")?;
                b.be16("count").map(drop)
            })
        })
    })
}
