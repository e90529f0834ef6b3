//! The console and serial port device (`virtio_serial_save_device` in `hw/char/virtio-serial-bus.c`).
//!
//! | bytes | what |
//! |---|---|
//! | 2, 2, 4 | config.cols, config.rows, config.max_nr_ports |
//! | ⌈max / 32⌉ × 4 | ports_map: which ports exist |
//! | 4 | number of ports |
//! | per port 4, 1, 1, 4 | id, guest_connected, host_connected, elem_popped |
//! | … | where an element is popped: be32 iov_idx, be64 iov_offset, the element |

use crate::error::{Error, Result};
use crate::interp::custom::Builder;

use super::{Common, element};

/// Ports that a device can have: two queues each, less two for control.
const MAX_PORTS: u32 = 511;

pub(super) fn read(b: &mut Builder<'_>, c: &Common) -> Result<()> {
    b.be16("config.cols")?;
    b.be16("config.rows")?;
    let at = b.offset();
    let raw = b.be32("config.max_nr_ports")?;
    // where a big-endian guest uses the legacy device, this one number was swapped in place before it was written
    let max = if raw > MAX_PORTS { raw.swap_bytes() } else { raw };
    if max > MAX_PORTS {
        return Err(Error::corrupt(at, format!("serial ports: expected at most {MAX_PORTS}, found {raw}")));
    }
    b.uints("ports_map", max.div_ceil(32) as usize, 4)?;
    let at = b.offset();
    let active = b.be32("nr_active_ports")?;
    if active > MAX_PORTS {
        return Err(Error::corrupt(at, format!("active serial ports: expected at most {MAX_PORTS}, found {active}")));
    }
    b.array("ports", |b| {
        (0..active).try_for_each(|_| {
            b.group("ports", |b| {
                b.be32("id")?;
                b.bool("guest_connected")?;
                b.bool("host_connected")?;
                if b.be32("elem_popped")? != 0 {
                    b.be32("iov_idx")?;
                    b.be64("iov_offset")?;
                    element::read(b, "elem", c.packed)?;
                }
                Ok(())
            })
        })
    })
}
