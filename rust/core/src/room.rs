//! Large columns, whose memory may not be there.

use crate::error::{Error, Result};

/// A column with room for `n` values.
///
/// # Errors
/// [`Error::Memory`] where there is no memory for it, instead of an end of the process.
pub fn reserved<T>(n: usize) -> Result<Vec<T>> {
    let mut column = Vec::new();
    column.try_reserve_exact(n).map_err(|_| Error::Memory {
        n_bytes: (n as u64).saturating_mul(size_of::<T>() as u64),
    })?;
    Ok(column)
}

/// A column of `n` times the same value.
///
/// # Errors
/// As [`reserved`].
pub fn filled<T: Clone>(value: T, n: usize) -> Result<Vec<T>> {
    let mut column = reserved(n)?;
    column.resize(n, value);
    Ok(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_no_memory_holds_is_refused_with_its_size() {
        assert_eq!(filled(0.5, 3), Ok(vec![0.5; 3]));
        let n_bytes = 1 << 62;
        assert_eq!(filled(0.0_f64, 1 << 59), Err(Error::Memory { n_bytes }));
    }
}
