//! Go writes `null` for an empty list or map; it means the same as leaving the field out.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default.
pub(crate) fn absent<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
