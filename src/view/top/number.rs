//! Numbers of at most five digits and a unit.

/// From 100,000 on in thousands, millions and so forth: `99999`, `123k`, `1.2M`.
pub(super) fn short(number: u64) -> String {
    const UNITS: [char; 6] = ['k', 'M', 'G', 'T', 'P', 'E'];
    if number < 100_000 {
        return number.to_string();
    }
    let mut value = number as f64;
    let mut unit = ' ';
    for next in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 9.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

/// The same of a rate; small ones have a decimal.
pub(super) fn rate(number: f64) -> String {
    if number > 0.0 && number < 9.95 { format!("{number:.1}") } else { short(number.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_short() {
        for (number, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (1_234_567, "1.2M"),
            (12_345_678, "12M"),
            (u64::MAX, "18E"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(0.25), "0.2");
        assert_eq!(rate(9.94), "9.9");
        assert_eq!(rate(9.96), "10");
        assert_eq!(rate(1e6), "1.0M");
    }
}
