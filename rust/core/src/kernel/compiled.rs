//! Loops that need no vector code of their own: the compiler makes it.

/// The scalar loops that a compiler makes vectors of, for some instructions.
macro_rules! compiled_for {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn extremes(words: &Block<u32>) -> super::Extremes {
            super::scalar::extremes(words)
        }

        #[target_feature(enable = $features)]
        pub(super) fn scattered(
            random: &Random,
            address: Address,
            units: &[u32; super::SCATTERED],
        ) -> super::Words {
            super::scalar::scattered(random, address, units)
        }

        #[target_feature(enable = $features)]
        pub(super) fn multiply(products: &mut Block<f32>, factors: &Block<f32>) {
            super::scalar::multiply(products, factors);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add(sums: &mut Block<f32>, terms: &Block<f32>, times: f32) {
            super::scalar::add(sums, terms, times);
        }

        #[target_feature(enable = $features)]
        pub(super) fn walk(
            schedule: &super::Schedule,
            times: &super::Times<{ super::REPLICAS }>,
            scratch: &mut super::WalkScratch<{ super::REPLICAS }>,
        ) {
            super::scalar::walk(schedule, times, scratch);
        }
    };
}
