//! Loops whose scalar code the compiler vectorizes by itself.

/// The scalar loops, compiled for some target features.
macro_rules! autovectorized_for {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn extremes(words: &TileArray<u32>) -> super::tile_array::Extremes {
            super::scalar::extremes(words)
        }

        #[target_feature(enable = $features)]
        pub(super) fn greatest(words: &[u32; super::tile_array::TILE_UNITS]) -> u32 {
            super::scalar::greatest(words)
        }

        #[target_feature(enable = $features)]
        pub(super) fn scattered_words(
            random: &Random,
            address: TileAddress,
            units: &[u32; super::tile_array::SCATTERED_UNITS],
        ) -> super::tile_array::ScatteredWords {
            super::scalar::scattered_words(random, address, units)
        }

        #[target_feature(enable = $features)]
        pub(super) fn multiply(products: &mut TileArray<f32>, factors: &TileArray<f32>) {
            super::scalar::multiply(products, factors);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add_scaled(sums: &mut TileArray<f32>, terms: &TileArray<f32>, scale: f32) {
            super::scalar::add_scaled(sums, terms, scale);
        }

        #[target_feature(enable = $features)]
        pub(super) fn add_weighted(sums: &mut [f64], terms: &[f64], weight: f64) {
            super::scalar::add_weighted(sums, terms, weight);
        }

        #[target_feature(enable = $features)]
        pub(super) fn walk(
            schedule: &crate::schedule::Schedule,
            times: &crate::schedule::recursion::Times<{ super::tile_array::WALK_LANES }>,
            scratch: &mut crate::schedule::recursion::WalkScratch<
                { super::tile_array::WALK_LANES },
            >,
        ) {
            super::scalar::walk(schedule, times, scratch);
        }
    };
}
