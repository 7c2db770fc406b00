//! The instruction sets that kernels exist for.

use crate::error::{Error, Result};

/// An instruction set; all of them give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every processor of the target has.
    Portable,
    /// AVX2 of x86-64.
    Avx2,
    /// AVX-512 of x86-64: F, DQ, BW and VL.
    Avx512,
}

const NAMES: &[&str] = &["portable", "avx2", "avx512"];

impl InstructionSet {
    /// All of them, from the most common on.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest one that this processor has.
    #[must_use]
    pub fn best() -> Self {
        let available = |set: &Self| set.is_available();
        Self::ALL
            .into_iter()
            .rev()
            .find(available)
            .unwrap_or(Self::Portable)
    }

    /// The one called `name`.
    ///
    /// # Errors
    /// [`Error::Name`] if there is none, or this processor lacks it.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.filter(|set| set.is_available()).ok_or(Error::Name {
            field: "instructions".to_owned(),
            value: name.to_owned(),
            known: &NAMES[..=Self::best() as usize],
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_one_is_available_and_has_a_name() {
        let best = InstructionSet::best();
        assert!(best.is_available());
        assert_eq!(InstructionSet::named(best.name()), Ok(best));
        assert_eq!(
            InstructionSet::named("portable"),
            Ok(InstructionSet::Portable)
        );
    }

    #[test]
    fn an_unknown_one_is_refused_with_what_there_is() {
        let refusal = InstructionSet::named("mmx").unwrap_err().to_string();
        assert!(
            refusal.starts_with("instructions must be one of portable"),
            "{refusal}"
        );
    }
}
