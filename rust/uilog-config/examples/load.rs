//! Reads the configuration of this process again and again: for bench/.
//!
//! usage: load COUNT. Prints the nanoseconds of each time.

use std::env;
use std::error::Error;
use std::time::Instant;

use uilog_config::Request;

fn main() -> Result<(), Box<dyn Error>> {
    let count: usize =
        env::args().nth(1).ok_or("usage: load COUNT")?.parse()?;
    let request = Request::default();
    for _ in 0..count {
        let begin = Instant::now();
        let environment = uilog_config::installation::environment()?;
        let loaded = uilog_config::load(&request, &environment)?;
        println!("{}", begin.elapsed().as_nanos());
        drop(loaded);
    }
    Ok(())
}
