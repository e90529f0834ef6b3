//! Numbers as people read them.

/// Returns the blanks that bring a text to a width. (The width of a format string is at most 65535, and names of the input
/// can be longer.)
pub(crate) fn padding(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.chars().count()))
}

/// Returns a size: the exact number, and the largest unit that fits.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        if bytes >> shift != 0 {
            let whole = bytes >> shift;
            let tenth = ((bytes & ((1 << shift) - 1)) * 10) >> shift;
            return if bytes.trailing_zeros() >= shift || tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenth} {unit}")
            };
        }
    }
    format!("{bytes} B")
}

/// Returns a count; without gaps between the digits, so that it can be copied and searched for.
#[must_use]
pub fn count(n: u64) -> String {
    n.to_string()
}

/// Returns a size in bytes, and in a larger unit where one fits.
#[must_use]
pub fn exact_size(bytes: u64) -> String {
    let exact = plural(bytes, "byte");
    if bytes < 1024 { exact } else { format!("{exact} ({})", size(bytes)) }
}

/// Returns a count with its noun in the right number.
#[must_use]
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(4096), "4 KiB");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
        assert_eq!(count(1_234_567), "1234567");
        assert_eq!(count(12), "12");
        assert_eq!(exact_size(1), "1 byte");
        assert_eq!(exact_size(4096), "4096 bytes (4 KiB)");
        assert_eq!(plural(0, "page"), "0 pages");
    }
}
