//! Laws at the ends of the range of f32.

mod common;

use common::laws::{capped, exponential, pareto, uniform};
use hindmost_core::Error;
use hindmost_core::law::{Distribution, Law};
use hindmost_core::table::Table;

fn refused(law: &Law) -> (String, f64) {
    match law.check_drawable() {
        Err(Error::Domain {
            field, requirement, ..
        }) => {
            let number = requirement.split([' ', ',']).nth(1).unwrap();
            (field, number.parse().unwrap())
        }
        other => panic!("{law:?}: {other:?}"),
    }
}

#[test]
fn the_number_that_works_does_so_beside_a_tiny_shift_or_low_end() {
    let (field, mean) = refused(&exponential(1e-30, 1e-40));
    assert_eq!(field, "mean");
    assert!(
        exponential(mean, 1e-40).check_drawable().is_ok(),
        "{mean:e}"
    );
    let (field, high) = refused(&uniform(1e-39, 3.7e-19));
    assert_eq!(field, "high");
    assert!(uniform(1e-39, high).check_drawable().is_ok(), "{high:e}");
}

#[test]
fn the_greatest_cap_keeps_the_contract_of_tables() {
    let (field, cap) = refused(&capped(pareto(1.0, 0.1), 3.4e38));
    assert_eq!(field, "cap");
    let law = capped(pareto(1.0, 0.1), cap);
    let table = Table::compile(&law).unwrap();
    for magnitude in (1 << 18)..(1 << 20) {
        let p = (f64::from(magnitude) + 0.5) / 4_294_967_296.0;
        let value = f64::from(table.value(!magnitude, || 0));
        let least = law.upper_quantile(p * (1.0 + 1e-5)) * (1.0 - 1e-5);
        assert!(value >= least, "{p:e}: {value:e} < {least:e}");
    }
}
