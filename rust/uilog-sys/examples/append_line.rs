//! Appends lines to a file in a directory of ours, as the arguments say.
//!
//! The tests run it where they need processes that race, have another umask,
//! or meet a directory that does not answer.
//!
//! ```text
//! append_line ROOT [umask=OCTAL] [max=BYTES] [times=N] [name=TAG] [near=DIR]
//!             [slots=N] [hurry] run|start
//! ```
//!
//! The file is `ROOT/state/uilog/lines`, or `DIR/near/lines` if that one does
//! not take a line. `start` leaves it to children; `hurry` does not wait for
//! them, and prints a dot for each line that no child has taken.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::sys::stat::umask;
use uilog_sys::append::GuardedPath;
use uilog_sys::append::Plan;
use uilog_sys::append::Root;
use uilog_sys::append::take_failure;
use uilog_sys::append::wait;

const WAIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().ok_or("no root")?;
    let steps = [OsStr::new("state"), OsStr::new("uilog")];
    let place =
        GuardedPath::new(Path::new(&root), Root::Chosen, &steps, "lines");
    let mut places = vec![place.ok_or("no place")?];
    let (mut max, mut times, mut slots) = (4096, 1, 0);
    let mut tag = "x".to_owned();
    let mut hurry = false;
    let mut start = false;
    for argument in arguments {
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            "umask" => {
                let bits = u32::from_str_radix(value, 8)?;
                umask(Mode::from_bits_truncate(bits));
            }
            "max" => max = value.parse()?,
            "times" => times = value.parse()?,
            "slots" => slots = value.parse()?,
            "name" => tag = value.to_owned(),
            "near" => {
                let (dir, steps) = (Path::new(value), [OsStr::new("near")]);
                let near =
                    GuardedPath::new(dir, Root::Private, &steps, "lines");
                places.push(near.ok_or("no place")?.near());
            }
            "hurry" => hurry = true,
            "run" | "start" => start = name == "start",
            _ => return Err(format!("unknown argument {argument}").into()),
        }
    }
    for number in 0..times {
        let line = format!("{tag} {number:017}\n").into_bytes();
        let plan = Plan::new(places.clone(), line, max);
        let plan = plan.slots((0..slots).map(|it: u32| format!("slot-{it}")));
        if !start {
            plan.run()?;
        } else if let Err((plan, _)) = plan.start() {
            println!(".");
            plan.only_near().run()?;
        }
        if start && !hurry && !wait(WAIT) {
            return Err("a child has not ended".into());
        }
    }
    match take_failure() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
