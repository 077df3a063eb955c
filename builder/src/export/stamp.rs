//! Times as documents write them.

use jiff::Timestamp;

use super::error::ExportError;

/// A time as documents write it.
pub(super) fn text(seconds: i64) -> Result<String, ExportError> {
    let time = Timestamp::from_second(seconds).map_err(|_| ExportError::Time { seconds })?;
    Ok(time.to_string())
}

/// Seconds since 1970, now.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_fraction() {
        assert_eq!(text(0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(text(1_700_000_000).unwrap(), "2023-11-14T22:13:20Z");
        assert!(text(i64::MAX).is_err());
    }
}
