//! Names that are parts of random addresses.

use crate::error::{Error, Result};

/// Refuses a name that a random address cannot hold.
///
/// # Errors
/// [`Error::Text`] unless the name is made of a-z, 0-9 and - only.
pub(super) fn check_name(path: &str, name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(plain) {
        return Ok(());
    }
    let error = Error::Text {
        field: "name".to_owned(),
        value: name.to_owned(),
        requirement: "have a-z, 0-9 and - only",
    };
    Err(error.within(path))
}
