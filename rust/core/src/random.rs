//! Random words with an address.
//!
//! A draw is a pure function of a seed and of four counter words, so it can be
//! made again alone, in any order and on any thread. The generator is
//! Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", SC 2011), with the seed as its key and the address as its
//! counter:
//!
//! | counter word | |
//! |---|---|
//! | c0 | unit: who draws |
//! | c1 | step or quad of steps, or another number of the draw |
//! | c2 | run and an index within a step ([`run_word`]) |
//! | c3 | [`Stream`]: hash of the pool, the cause and what the word is for |
//!
//! A counter gives four words. Those of several units are returned as
//! `[word][unit]`, so that units are vector lanes and no instruction set has to
//! shuffle.

use std::fmt;

/// Multipliers of Philox's S-boxes, for the first and for the third counter word.
pub(crate) const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What the key grows by from round to round: the golden ratio and sqrt(3) - 1.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Rounds of Philox.
pub(crate) const ROUNDS: usize = 10;

/// Runs of one scenario, at most: the run is the upper half of a counter word.
pub const MAX_RUNS: u32 = 1 << 16;

/// What a word is for; the last part of a stream's address.
///
/// [`Use::ALL`] lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The size of an effect.
    Value,
    /// Whether an effect occurs.
    Occurrence,
    /// Which law of a mixture an effect has.
    Component,
    /// 32 more bits for a word that needs them.
    Refine,
    /// In which step of its period what comes regularly comes first.
    Phase,
    /// When a failure comes.
    Event,
    /// How slow the slowest rank of a pool is, or which units a rare cause hits.
    Slowest,
    /// Which of the ranks of a pool its slowest one is.
    Member,
}

impl Use {
    /// Every use.
    pub const ALL: [Self; 8] = [
        Self::Value,
        Self::Occurrence,
        Self::Component,
        Self::Refine,
        Self::Phase,
        Self::Event,
        Self::Slowest,
        Self::Member,
    ];
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "value",
            Self::Occurrence => "occurrence",
            Self::Component => "component",
            Self::Refine => "refine",
            Self::Phase => "phase",
            Self::Event => "event",
            Self::Slowest => "slowest",
            Self::Member => "member",
        })
    }
}

/// A stream of random words: the FNV-1a-32 hash of `pool/cause/use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream(pub u32);

impl Stream {
    /// The stream of one use of one cause; `pool` is empty where the whole
    /// cluster shares a draw.
    #[must_use]
    pub fn new(pool: &str, cause: &str, usage: Use) -> Self {
        Self::from_address(&Self::address(pool, cause, usage))
    }

    /// The text whose hash the stream is.
    #[must_use]
    pub fn address(pool: &str, cause: &str, usage: Use) -> String {
        format!("{pool}/{cause}/{usage}")
    }

    fn from_address(address: &str) -> Self {
        let hash = address.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        Self(hash)
    }
}

/// The third counter word: a run in its upper half, an index within a step in
/// its lower half.
#[must_use]
pub fn run_word(run: u32, index: u32) -> u32 {
    run << 16 | index
}

/// Philox4x32-10 under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random {
    key: [u32; 2],
}

impl Random {
    /// The generator whose key is `seed`, low half first.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
        }
    }

    /// The key of each round.
    pub(crate) fn round_keys(&self) -> [[u32; 2]; ROUNDS] {
        let mut key = self.key;
        std::array::from_fn(|_| {
            let this = key;
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
            this
        })
    }

    /// The four words at the address (unit, c1, c2, stream).
    #[must_use]
    pub fn words(&self, stream: Stream, unit: u32, c1: u32, c2: u32) -> [u32; 4] {
        self.words_from::<1>(stream, unit, c1, c2)
            .map(|[word]| word)
    }

    /// The words of `L` consecutive units, as `[word][unit]`.
    #[must_use]
    #[inline(always)]
    pub fn words_from<const L: usize>(
        &self,
        stream: Stream,
        first_unit: u32,
        c1: u32,
        c2: u32,
    ) -> [[u32; L]; 4] {
        let lanes = std::array::from_fn(|lane| first_unit.wrapping_add(lane as u32));
        self.words_of(stream, lanes, c1, c2)
    }

    /// The words of any `L` units, as `[word][unit]`.
    ///
    /// Lanes do not depend on each other, so the compiler turns the inner loop
    /// into vector instructions.
    #[must_use]
    #[inline(always)]
    pub fn words_of<const L: usize>(
        &self,
        stream: Stream,
        units: [u32; L],
        c1: u32,
        c2: u32,
    ) -> [[u32; L]; 4] {
        let mut x0 = units;
        let (mut x1, mut x2, mut x3) = ([c1; L], [c2; L], [stream.0; L]);
        for key in self.round_keys() {
            for lane in 0..L {
                let a = u64::from(MULTIPLIERS[0]) * u64::from(x0[lane]);
                let b = u64::from(MULTIPLIERS[1]) * u64::from(x2[lane]);
                x0[lane] = (b >> 32) as u32 ^ x1[lane] ^ key[0];
                x1[lane] = b as u32;
                x2[lane] = (a >> 32) as u32 ^ x3[lane] ^ key[1];
                x3[lane] = a as u32;
            }
        }
        [x0, x1, x2, x3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
        let seed = u64::from(key[1]) << 32 | u64::from(key[0]);
        let [unit, c1, c2, stream] = counter;
        Random::new(seed).words(Stream(stream), unit, c1, c2)
    }

    #[test]
    fn words_are_the_known_answers_of_random123() {
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn consecutive_units_are_the_lanes() {
        let random = Random::new(42);
        let stream = Stream::new("h100", "jitter", Use::Value);
        let lanes = random.words_from::<7>(stream, u32::MAX - 3, 5, run_word(3, 0));
        for lane in 0..7 {
            let unit = (u32::MAX - 3).wrapping_add(lane);
            let words = random.words(stream, unit, 5, run_word(3, 0));
            assert_eq!(words, lanes.map(|words| words[lane as usize]));
        }
    }

    #[test]
    fn streams_are_fnv_1a() {
        // Published test vectors of FNV-1a, 32 bits.
        assert_eq!(Stream::from_address(""), Stream(0x811c_9dc5));
        assert_eq!(Stream::from_address("a"), Stream(0xe40c_292c));
        assert_eq!(Stream::from_address("foobar"), Stream(0xbf9c_f968));
        assert_eq!(
            Stream::address("", "step-common", Use::Occurrence),
            "/step-common/occurrence"
        );
    }
}
