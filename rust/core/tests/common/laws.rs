//! Laws in one line each, and the shapes that tests try.

use hindmost_core::law::{
    Capped, Constant, Empirical, Exponential, Gamma, Law, LogNormal, LogUniform, Mixture, Normal,
    OCTAVES, Pareto, Tabulated, Uniform, Weibull, tail_probability, with_pareto_tail,
};

pub fn constant(value: f64) -> Law {
    Law::Constant(Constant::new(value).unwrap())
}

pub fn lognormal(median: f64, sigma: f64) -> Law {
    Law::LogNormal(LogNormal::new(median, sigma).unwrap())
}

pub fn exponential(mean: f64, shift: f64) -> Law {
    Law::Exponential(Exponential::new(mean, shift).unwrap())
}

pub fn gamma(shape: f64, scale: f64) -> Law {
    Law::Gamma(Gamma::new(shape, scale).unwrap())
}

pub fn pareto(minimum: f64, alpha: f64) -> Law {
    Law::Pareto(Pareto::new(minimum, alpha).unwrap())
}

pub fn bounded_pareto(minimum: f64, alpha: f64, maximum: f64) -> Law {
    Law::Pareto(Pareto::bounded(minimum, alpha, maximum).unwrap())
}

pub fn weibull(shape: f64, scale: f64) -> Law {
    Law::Weibull(Weibull::new(shape, scale).unwrap())
}

pub fn normal(mean: f64, sigma: f64) -> Law {
    Law::Normal(Normal::new(mean, sigma).unwrap())
}

pub fn uniform(low: f64, high: f64) -> Law {
    Law::Uniform(Uniform::new(low, high).unwrap())
}

pub fn log_uniform(low: f64, high: f64) -> Law {
    Law::LogUniform(LogUniform::new(low, high).unwrap())
}

pub fn empirical(samples: &[f64]) -> Law {
    Law::Empirical(Empirical::new(samples.to_vec()).unwrap())
}

pub fn mixture(components: Vec<(f64, Law)>) -> Law {
    Law::Mixture(Mixture::new(components).unwrap())
}

pub fn capped(law: Law, cap: f64) -> Law {
    Law::Capped(Capped::new(law, cap).unwrap())
}

/// Quantiles of both sides on the grid of 1,024 bins that a fit takes.
pub fn fine_grid(lower: impl Fn(f64) -> f64, upper: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
    let tails: Vec<f64> = (0..=OCTAVES * 1024)
        .map(|index| tail_probability(1024, index))
        .collect();
    (
        tails.iter().map(|&p| lower(p)).collect(),
        tails.iter().map(|&q| upper(q)).collect(),
    )
}

/// A Weibull law that somebody brings along.
pub fn tabulated_weibull(shape: f64) -> Law {
    let (lower, upper) = fine_grid(
        |p| libm::pow(-libm::log1p(-p), 1.0 / shape),
        |q| libm::pow(-libm::log(q), 1.0 / shape),
    );
    Law::Tabulated(Tabulated::fit(&lower, &upper).unwrap())
}

/// One law of each kind that has a density; a table of its own holds each.
pub fn continuous() -> Vec<(&'static str, Law)> {
    vec![
        ("lognormal", lognormal(1.5, 0.4)),
        ("exponential", exponential(2.0, 0.5)),
        ("gamma", gamma(2.5, 0.8)),
        ("pareto", pareto(1.2, 9.5)),
        ("uniform", uniform(0.5, 3.0)),
        ("log-uniform", log_uniform(0.1, 10.0)),
        ("empirical", empirical(&[1.0, 1.25, 1.5, 2.5, 4.0, 8.0])),
        ("tabulated", tabulated_weibull(1.7)),
        ("weibull", weibull(1.7, 0.8)),
        ("normal", normal(1.5, 0.4)),
        ("normal, half cut off", normal(0.2, 1.5)),
        ("bounded pareto", bounded_pareto(1.2, 0.75, 40.0)),
    ]
}

/// Laws with weight on single numbers, and those numbers.
pub fn with_atoms() -> Vec<(&'static str, Law, Vec<f64>)> {
    vec![
        ("constant", constant(1.25), vec![1.25]),
        ("lognormal of sigma 0", lognormal(1.25, 0.0), vec![1.25]),
        (
            "empirical with ties",
            empirical(&[1.0, 1.5, 1.5, 1.5, 2.0, 4.0, 4.0]),
            vec![1.5, 4.0],
        ),
        ("capped pareto", capped(pareto(1.0, 0.75), 8.0), vec![8.0]),
        (
            "capped lognormal",
            capped(lognormal(1.0, 0.5), 1.25),
            vec![1.25],
        ),
        (
            "mixture",
            mixture(vec![
                (0.5, constant(1.0)),
                (0.25, lognormal(1.0, 0.5)),
                (0.25, exponential(2.0, 0.75)),
            ]),
            vec![1.0],
        ),
        (
            "capped mixture",
            capped(
                mixture(vec![
                    (0.625, uniform(0.5, 1.5)),
                    (0.25, pareto(1.0, 1.5)),
                    (0.125, constant(6.0)),
                ]),
                5.0,
            ),
            vec![5.0],
        ),
        (
            "mixture of samples and their tail",
            with_pareto_tail(vec![1.0, 2.0, 1.25, 1.75, 3.0], 1.5, 9.0).unwrap(),
            vec![9.0],
        ),
    ]
}

/// Laws of one table each, at the ends and in the middle of their parameters.
pub fn shapes() -> Vec<(String, Law)> {
    let mut shapes = Vec::new();
    let mut add = |name: String, law: Law| shapes.push((name, law));
    for (median, sigma) in [
        (1.0, 0.0),
        (1.0, 1e-6),
        (1.0, 0.003),
        (3.7, 0.3),
        (1e-6, 1.0),
        (1.0, 3.0),
        (1.0, 9.0),
    ] {
        add(
            format!("lognormal {median} {sigma}"),
            lognormal(median, sigma),
        );
    }
    for (mean, shift) in [(1.0, 0.0), (1e-3, 1.0), (1e6, 1e-6), (1e-15, 0.0)] {
        add(
            format!("exponential {mean} {shift}"),
            exponential(mean, shift),
        );
    }
    for (shape, scale) in [(0.6, 1.0), (1.0, 2.0), (7.5, 0.1), (1e4, 1e-4)] {
        add(format!("gamma {shape} {scale}"), gamma(shape, scale));
    }
    for (minimum, alpha) in [(1.0, 2.01), (0.3, 5.0), (1.0, 300.0)] {
        add(format!("pareto {minimum} {alpha}"), pareto(minimum, alpha));
    }
    for (minimum, alpha, maximum) in [(1.0, 0.5, 100.0), (0.3, 5.0, 0.3001), (1.0, 300.0, 2.0)] {
        add(
            format!("bounded pareto {minimum} {alpha} {maximum}"),
            bounded_pareto(minimum, alpha, maximum),
        );
    }
    for (shape, scale) in [(0.55, 1.0), (1.0, 3.0), (7.5, 1e-6), (1e6, 1.0)] {
        add(format!("weibull {shape} {scale}"), weibull(shape, scale));
    }
    for (mean, sigma) in [
        (1.0, 1e-6),
        (3.7, 0.3),
        (1.0, 0.1),
        (1e3, 700.0),
        (1e-3, 1.0),
    ] {
        add(format!("normal {mean} {sigma}"), normal(mean, sigma));
    }
    for (low, high) in [(0.0, 1.0), (0.0, 1e-10), (1.0, 1.001), (2.0, 1e6)] {
        add(format!("uniform {low} {high}"), uniform(low, high));
    }
    for (low, high) in [(1.0, 16.0), (1.0, 1.0001), (1e-15, 1e15)] {
        add(format!("log-uniform {low} {high}"), log_uniform(low, high));
    }
    add("empirical of two".to_owned(), empirical(&[1.0, 3.0]));
    add(
        "empirical of three, steep".to_owned(),
        empirical(&[1e-6, 1.0, 1e6]),
    );
    add(
        "empirical with ties".to_owned(),
        empirical(&[1.0, 1.0, 1.0, 2.0, 2.0, 5.0]),
    );
    let many: Vec<f64> = (1..=100_001).map(|i| (f64::from(i) / 7e3).exp()).collect();
    add("empirical of many".to_owned(), empirical(&many));
    add("constant".to_owned(), constant(1.3));
    add("tabulated weibull 0.8".to_owned(), tabulated_weibull(0.8));
    add("tabulated weibull 4".to_owned(), tabulated_weibull(4.0));
    add(
        "capped pareto 0.5".to_owned(),
        capped(pareto(1.0, 0.5), 100.0),
    );
    add(
        "capped pareto 0.1".to_owned(),
        capped(pareto(1.0, 0.1), 1e6),
    );
    add(
        "capped lognormal".to_owned(),
        capped(lognormal(1.0, 0.2), 1.1),
    );
    shapes
}
