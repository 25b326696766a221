//! Human-readable numbers, sizes and durations.

use std::time::Duration;

use indicatif::HumanCount;

/// Formats `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Formats a number with its noun: `3 files`, `1 file`, `2 business days`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Formats bytes in decimal units: `35.1 MB`. `indicatif::DecimalBytes` has two decimals in every unit.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Formats a duration: `0.4s`, `12.3s`, `3m05s`, `2h07m`.
pub(crate) fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{seconds}.{}s", tenths % 10),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(2_000, "file"), "2,000 files");
        for (number, text) in
            [(0, "0 B"), (999, "999 B"), (35_100_000, "35.1 MB"), (1_500, "1.5 kB"), (2_340_000_000, "2.34 GB")]
        {
            assert_eq!(bytes(number), text);
        }
        for (millis, text) in
            [(0, "0.0s"), (49, "0.0s"), (59_949, "59.9s"), (59_950, "1m00s"), (185_000, "3m05s"), (7_620_000, "2h07m")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
