//! Durations as Go writes them: `1h30m`, `1.5s`, `300ms`.

use std::time::Duration;

const NANOS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Why a duration is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DurationFault {
    /// Not of that form.
    Invalid,
    /// A number without a unit.
    NoUnit,
    /// An unknown unit.
    Unit(String),
    /// Less than nothing.
    Negative,
}

/// Reads a duration.
pub(super) fn parse(text: &str) -> Result<Duration, DurationFault> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(DurationFault::Invalid);
    }
    let mut nanos = 0u128;
    while !rest.is_empty() {
        let (part, after) = component(rest)?;
        nanos = nanos.checked_add(part).ok_or(DurationFault::Invalid)?;
        rest = after;
    }
    if negative && nanos > 0 {
        return Err(DurationFault::Negative);
    }
    let nanos = i64::try_from(nanos).map_err(|_| DurationFault::Invalid)?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

/// Reads one number and its unit.
fn component(text: &str) -> Result<(u128, &str), DurationFault> {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let whole_length = digits(text);
    let (whole, rest) = text.split_at(whole_length);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationFault::Invalid);
    }
    let unit_length = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_length);
    if unit.is_empty() {
        return Err(DurationFault::NoUnit);
    }
    let Some((_, scale)) = NANOS.iter().find(|(name, _)| *name == unit) else {
        return Err(DurationFault::Unit(unit.to_owned()));
    };
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationFault::Invalid)? };
    let nanos = whole.checked_mul(*scale).ok_or(DurationFault::Invalid)?;
    Ok((nanos.saturating_add(scaled(fraction, *scale)), after))
}

/// A decimal fraction of a unit; what is below a nanosecond is dropped.
fn scaled(fraction: &str, scale: u128) -> u128 {
    let digits = &fraction[..fraction.len().min(20)];
    let number: u128 = digits.parse().unwrap_or(0);
    let places = u32::try_from(digits.len()).unwrap_or(0);
    number * scale / 10u128.pow(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        let nanos = |text| parse(text).map(|d| d.as_nanos());
        assert_eq!(nanos("1h30m"), Ok(5_400_000_000_000));
        assert_eq!(nanos("1.5s"), Ok(1_500_000_000));
        assert_eq!(nanos(".5m"), Ok(30_000_000_000));
        assert_eq!(nanos("1.000000001s"), Ok(1_000_000_001));
        assert_eq!(nanos("0"), Ok(0));
        assert_eq!(nanos("-0s"), Ok(0));
        assert_eq!(nanos("5us"), Ok(5_000));
        assert_eq!(nanos("-1s"), Err(DurationFault::Negative));
        assert_eq!(nanos("10"), Err(DurationFault::NoUnit));
        assert_eq!(nanos("1x"), Err(DurationFault::Unit("x".to_owned())));
        for bad in ["", "s", ".s", "+", "9999999999999h"] {
            assert_eq!(nanos(bad), Err(DurationFault::Invalid), "{bad}");
        }
    }
}
