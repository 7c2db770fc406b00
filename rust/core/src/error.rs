//! Errors: what can be wrong with what a caller asks for.

use std::fmt;

/// Result of an operation that can refuse its input.
pub type Result<T> = std::result::Result<T, Error>;

/// A refusal, with the field, its value and what would be accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// A number lies outside of its domain.
    Domain {
        /// Path of the field, as far as it is known where the error is made.
        field: String,
        /// The value that was given.
        value: f64,
        /// The condition that must hold, to be read after "must be".
        requirement: String,
    },
    /// A name is not one of the known ones.
    Name {
        /// Path of the field, as far as it is known where the error is made.
        field: String,
        /// The name that was given.
        value: String,
        /// The known names.
        known: &'static [&'static str],
    },
    /// A text has the wrong form.
    Text {
        /// Path of the field, as far as it is known where the error is made.
        field: String,
        /// The text that was given.
        value: String,
        /// The condition that must hold, to be read after "must".
        requirement: &'static str,
    },
    /// A field is missing, or is not a known one.
    Field {
        /// Path of the field, as far as it is known where the error is made.
        field: String,
        /// Whether the field is missing rather than unknown.
        missing: bool,
    },
    /// Two random streams have the same hash.
    Streams {
        /// Address text of the first stream.
        first: String,
        /// Address text of the second stream.
        second: String,
    },
    /// There is no memory for what was asked for.
    Memory {
        /// Bytes that one column of it takes.
        n_bytes: u64,
    },
    /// The caller asked for a stop before the work was done.
    Stopped,
}

impl Error {
    /// A number outside of its domain.
    pub fn domain(field: &str, value: f64, requirement: impl Into<String>) -> Self {
        Self::Domain {
            field: field.to_owned(),
            value,
            requirement: requirement.into(),
        }
    }

    /// Prepends `outer` to the path of the field: `within("law")` turns `sigma` into
    /// `law.sigma`. Each caller adds its part.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        match &mut self {
            Self::Domain { field, .. }
            | Self::Name { field, .. }
            | Self::Text { field, .. }
            | Self::Field { field, .. } => {
                *field = format!("{outer}.{field}");
            }
            Self::Streams { .. } | Self::Memory { .. } | Self::Stopped => {}
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain {
                field,
                value,
                requirement,
            } => write!(f, "{field} must be {requirement}, got {value}"),
            Self::Name {
                field,
                value,
                known,
            } => write!(
                f,
                "{field} must be one of {}, got {value}",
                known.join(", ")
            ),
            Self::Text {
                field,
                value,
                requirement,
            } => write!(f, "{field} must {requirement}, got {value:?}"),
            Self::Field {
                field,
                missing: true,
            } => write!(f, "{field} is missing"),
            Self::Field { field, .. } => write!(f, "{field} is not a known field"),
            Self::Streams { first, second } => write!(
                f,
                "the random streams {first} and {second} have the same hash; rename one of them"
            ),
            Self::Memory { n_bytes } => write!(f, "there are no {n_bytes} bytes of memory left"),
            Self::Stopped => write!(f, "stopped before the end"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_adds_its_part_of_the_path() {
        let error = Error::domain("sigma", -0.2, "finite and >= 0")
            .within("law")
            .within("causes.jitter");
        assert_eq!(
            error.to_string(),
            "causes.jitter.law.sigma must be finite and >= 0, got -0.2"
        );
    }
}
