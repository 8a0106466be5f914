//! Nanoseconds of a limiter's decision, its look at the clock included: for
//! `python -m benchmarks.limiters`, which gives the calls of a round and the clients.
use plane::{Law, Limiter, Parts, Segment, now};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let mut next = || numbers.next().ok_or("calls and clients expected");
    let (calls, clients) = (next()??, next()??);
    let parts = Arc::new(Parts::claim(&Arc::new(Segment::private(64 << 20)?))?);
    let keys: Vec<String> = (0..clients).map(|client| format!("10.0.{client}")).collect();
    let laws = [
        ("gcra", Law::meter(calls as f64, 60.0, calls)),
        ("leaky", Law::queue(calls as f64, 60.0, calls)),
        ("window", Law::window(calls, 60.0)),
    ];
    for (name, law) in laws {
        let all = Limiter::new(&parts, name, law, 0)?;
        let each = Limiter::new(&parts, &format!("{name} keyed"), law, 65_536)?;
        let began = Instant::now();
        let mut admitted: u64 = (0..calls).map(|_| u64::from(all.acquire(1, now()).admitted)).sum();
        let together = began.elapsed().as_nanos() as f64 / calls as f64;
        let began = Instant::now();
        for key in keys.iter().cycle().take(calls as usize) {
            admitted += u64::from(each.acquire_for(key.as_bytes(), 1, now()).admitted);
        }
        let apart = began.elapsed().as_nanos() as f64 / calls as f64;
        if admitted != 2 * calls {
            return Err(format!("{name} refused {}", 2 * calls - admitted).into());
        }
        println!("{name} {together:.1} {apart:.1}");
    }
    Ok(())
}
