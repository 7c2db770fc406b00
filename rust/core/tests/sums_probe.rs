mod common;
use common::laws::*;
use hindmost_core::curve::Curve;
use hindmost_core::law::special::normal_cdf;
fn irwin(n: u32, x: f64) -> f64 { // lower tail
    let mut s = 0.0; let mut c = 1.0; let f: f64 = (1..=n).map(f64::from).product();
    for k in 0..=n { let d = x - f64::from(k); if d <= 0.0 {break;} s += if k%2==0 {c} else {-c} * d.powi(n as i32); c = c * f64::from(n-k)/f64::from(k+1); }
    s / f
}
#[test]
fn probe() {
    for n in [2u32, 4, 16, 64, 252, 1000] {
        let t = std::time::Instant::now();
        let sum = Curve::of(&exponential(1.0, 0.0)).sum_of(n);
        let dt = t.elapsed();
        let law = gamma(f64::from(n), 1.0);
        print!("exp n {n} {dt:?} knots {}:", sum.xs().len());
        for p in [0.5, 0.1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 1e-20] {
            let (a, b) = (law.quantile(p), law.upper_quantile(p));
            print!("  {p:e}: {:+.2e} {:+.2e}", sum.cdf(a)/law.cdf(a)-1.0, sum.sf(b)/law.sf(b)-1.0);
        }
        println!();
    }
    for s in [0.003, 0.05, 0.3] { for n in [2u32, 16, 64, 252] {
        let t = std::time::Instant::now();
        let sum = Curve::of(&normal(1.0, s)).sum_of(n);
        let dt = t.elapsed();
        print!("normal {s} n {n} {dt:?} knots {}:", sum.xs().len());
        let m = f64::from(n); let sd = s * m.sqrt();
        for z in [0.0, 1.0, 3.0, 4.7534243, 5.9978, 7.0345, 7.94, 9.2623] {
            let q = normal_cdf(-z);
            print!("  {q:.0e}: {:+.2e} {:+.2e}", sum.cdf(m - sd*z)/q-1.0, sum.sf(m+sd*z)/q-1.0);
        }
        println!();
    }}
    for n in [2u32, 3, 12] {
        let sum = Curve::of(&uniform(0.0, 1.0)).sum_of(n);
        print!("uniform n {n}:");
        for x in [0.001, 0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0] {
            if x > f64::from(n)/2.0 {break;}
            let p = irwin(n, x);
            print!("  {p:.1e}: {:+.2e} {:+.2e}", sum.cdf(x)/p-1.0, sum.sf(f64::from(n)-x)/p-1.0);
        }
        println!();
    }
    for n in [1u32, 2, 7, 1000] {
        let sum = Curve::constant(1.25).sum_of(n);
        println!("constant {n}: {:?} {} {}", sum.xs(), sum.cdf(1.25*f64::from(n)*(1.0-1e-12)), sum.cdf(1.25*f64::from(n)*(1.0+1e-12)));
        let sum = Curve::of(&constant(1.25)).sum_of(n);
        println!("law constant {n}: {:?}", sum.xs());
    }
    // lognormal, n = 2, by convolution quadrature over z
    for s in [0.01f64, 0.1, 0.5, 1.0] {
        let law = lognormal(1.0, s);
        let sum = Curve::of(&law).sum_of(2);
        print!("lognormal {s} n 2:");
        for k in [-8, -6, -4, -2, 0, 2, 4, 6, 8, 10] {
            let x = 2.0 * (f64::from(k)*s/1.41).exp();
            let (mut cdf, mut sf) = (0.0, 0.0);
            let h = 1.0/1024.0;
            for j in -14000..=14000 { let z = f64::from(j)*h; let w = h*(-0.5*z*z).exp()/(2.0*std::f64::consts::PI).sqrt();
                let y = x - (s*z).exp();
                cdf += w*law.cdf(y); sf += w*law.sf(y); }
            print!("  {cdf:.1e}/{sf:.1e}: {:+.1e} {:+.1e}", sum.cdf(x)/cdf-1.0, sum.sf(x)/sf-1.0);
        }
        println!();
    }
    // pareto tail: sum_of 2
    for law in [pareto(1.0, 3.0), capped(pareto(1.0,0.75), 8.0), mixture(vec![(0.999, constant(1.0)), (0.001, lognormal(3.0,0.5))])] {
        for n in [2u32, 16] {
        let t = std::time::Instant::now();
        let sum = Curve::of(&law).sum_of(n);
        let dt = t.elapsed();
        let mut mean = sum.xs()[0]; for w in sum.xs().windows(2) { mean += (w[1]-w[0])*0.5*(sum.sf(w[0])+sum.sf(w[1].next_down())); }
        println!("{:?} n {n} {dt:?}: mean {} vs {}, xs {} .. {} knots {} q {:?}", &format!("{law:?}")[..20], mean, f64::from(n)*law.mean(), sum.xs()[0], sum.xs()[sum.xs().len()-1], sum.xs().len(), [0.5,0.1,1e-3,1e-6,1e-9].map(|q| sum.upper_quantile(q)));
    }}
}
