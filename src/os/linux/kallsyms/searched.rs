//! Tables that are found by a search, in the orders of all versions.

use super::made::{Made, ORDERS, Order};
use super::*;
use crate::os::linux::vmcoreinfo::Found;

fn listed(s: &Symbols) -> Vec<(u64, char, String)> {
    s.iter().filter(|s| !s.exported).map(|s| (s.address, s.kind, s.exact().to_owned())).collect()
}

fn read(kernel: &Kernel<'_>) -> Result<Symbols> {
    Symbols::read(kernel, &kernel.image()?)
}

fn by_vmcoreinfo(made: &Made) -> Result<Symbols> {
    let found: Found = made.found();
    read(&Kernel::new(&made.mem, &found))
}

#[test]
fn every_order_in_both_byte_orders() {
    for order in ORDERS {
        for big in [false, true] {
            // one name, less than one marker's, exactly two markers', some more
            for count in [1, 100, 510, 700] {
                let made = Made::new(order, big, count);
                let form = match (order, big) {
                    (Order::Since70, _) => Form::PlaceRelative,
                    (_, false) => Form::AbsolutePerCpu,
                    (_, true) => Form::Relative,
                };
                let s = read(&made.mapped()).unwrap_or_else(|e| panic!("{order:?} {big} {count}: {e:?}"));
                assert_eq!(listed(&s), made.symbols, "{order:?} {big} {count}");
                assert_eq!((s.how(), s.form(), s.proof()), (How::Search, form, Proof::Banner), "{order:?} {big}");
                let s = by_vmcoreinfo(&made).unwrap();
                assert_eq!(listed(&s), made.symbols, "{order:?} {big} {count}");
                assert_eq!((s.form(), s.proof()), (form, Proof::Vmcoreinfo { equal: 1, of: 1 }));
            }
        }
    }
}

#[test]
fn a_copy_that_is_not_mapped_is_not_even_looked_at() {
    for order in ORDERS {
        let mut made = Made::new(order, false, 300);
        made.copy_table(0x40_0000);
        made.copy_table(0x2_0000_0000);
        assert_eq!(listed(&read(&made.mapped()).unwrap()), made.symbols);
        // the one that is mapped goes away
        let nothing = vec![0; made.table.len()];
        made.write_table(&nothing);
        let e = read(&made.mapped()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Missing, "{e}");
        assert_eq!(by_vmcoreinfo(&made).unwrap_err().kind(), ErrorKind::Missing);
    }
}

#[test]
fn a_table_that_is_not_proved_is_refused() {
    for order in ORDERS {
        // the banner is not where it should be: the image of a kernel at another address
        let mut made = Made::new(order, false, 300);
        made.write(super::made::BANNER, b"Lunix");
        let e = read(&made.mapped()).unwrap_err();
        let expected = (ErrorKind::Corrupt, "the kernel's banner is not where its symbol says");
        assert_eq!((e.kind(), e.message()), expected, "{order:?}");
        // no banner, and nothing exported
        let made = Made::with(order, false, 300, false);
        assert_eq!(read(&made.mapped()).unwrap_err().kind(), ErrorKind::Corrupt);
        // VMCOREINFO is of another kernel
        let mut made = Made::new(order, false, 300);
        made.keys = format!("SYMBOL(f7)={:x}\nSYMBOL(f8)={:x}\n", made.virt, made.virt + 1);
        let e = by_vmcoreinfo(&made).unwrap_err();
        assert!(e.message().ends_with(" of 3 symbols have the addresses that VMCOREINFO gives"), "{e}");
    }
}

#[test]
fn keys_that_lie_are_replaced_by_a_search() {
    let mut made = Made::new(Order::Since64, false, 300);
    for key in ["num_syms", "token_table", "token_index", "names", "offsets", "relative_base"] {
        made.keys.push_str(&format!("SYMBOL(kallsyms_{key})={:x}\n", made.virt + 0x40));
    }
    let s = by_vmcoreinfo(&made).unwrap();
    assert_eq!((listed(&s), s.how()), (made.symbols, How::Search));
}

#[test]
fn names_are_found_by_a_hash() {
    let made = Made::new(Order::Since64, false, 300);
    let s = read(&made.mapped()).unwrap();
    for (address, kind, name) in &made.symbols {
        let found: Vec<(u64, char)> = s.named(name).map(|s| (s.address, s.kind)).collect();
        assert_eq!(found, [(*address, *kind)], "{name}");
    }
    assert_eq!((s.named("f300").count(), s.named("").count()), (0, 0));
}

#[test]
fn tables_with_a_byte_changed_never_make_it_slow_or_panic() {
    let mut seed = 1_u64;
    let mut random = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most
    };
    for order in ORDERS {
        let mut made = Made::new(order, order == Order::With62, 300);
        let table = made.table.clone();
        for _ in 0..40 {
            let mut changed = table.clone();
            for _ in 0..=random(3) {
                let at = random(changed.len());
                changed[at] = random(256) as u8;
            }
            made.write_table(&changed);
            if let Ok(s) = read(&made.mapped()) {
                assert_eq!(s.len(), made.symbols.len());
            }
        }
    }
}

#[test]
fn an_image_of_nothing_but_beginnings_ends_soon() {
    let begun = std::time::Instant::now();
    // digits everywhere; markers everywhere; names of one length everywhere, with a number before each
    let mut made = Made::new(Order::Since64, false, 300);
    let digits = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0".repeat(3000);
    made.write(0, &digits);
    assert!(read(&made.mapped()).is_err());
    let table = made.table.clone();
    let mut made = Made::new(Order::Since64, false, 300);
    made.write(0, &[0; 4096]);
    let names = [3_u8, 4, 0, 0].repeat(table.len() / 4);
    made.write(0x1000, &names);
    made.write(0x1000 + names.len() as u64, &table);
    assert!(read(&made.mapped()).is_err());
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
