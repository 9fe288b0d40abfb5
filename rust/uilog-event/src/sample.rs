//! A sample of an event, for trying a script or a sink.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::event;
use crate::event::Event;
use crate::event::EventOption;
use crate::event::Text;
use crate::event::Timestamp;
use crate::event::Value;
use crate::events;
use crate::events::Sample;
use crate::user;

/// An event of this name such as hg would log, in this environment, of the
/// repository at `root`.
pub fn of<'a>(
    name: &'a [u8],
    block: &'a [u8],
    root: Option<&'a Path>,
) -> Event<'a> {
    let known = events::find(name);
    let text = |text: &'static str| Text(Cow::Borrowed(text.as_bytes()));
    let mut duration = None;
    let options = known.map_or(&[][..], |known| known.options);
    let options = options.iter().map(|(key, value)| EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value: match value {
            Sample::Bool(value) => Value::Bool(*value),
            Sample::Int(digits) => Value::Int(text(digits)),
            Sample::Float(digits) => {
                if *key == "duration" {
                    duration = digits.parse().ok();
                }
                Value::Float(text(digits))
            }
            Sample::Bytes(bytes) => Value::Bytes(text(bytes)),
        },
    });
    let options = options.collect();
    let message = match known {
        Some(known) => Cow::Borrowed(known.message.as_bytes()),
        None => {
            let name = String::from_utf8_lossy(name);
            Cow::Owned(format!("a sample of {name}\n").into_bytes())
        }
    };
    let user = user::login_name(block);
    let root = root.map(|root| root.as_os_str().as_bytes());
    Event {
        session: event::new_session(),
        time: Timestamp::now(),
        duration,
        pid: std::process::id(),
        user: user.map(|user| Text(Cow::Borrowed(user))),
        uid: nix::unistd::Uid::current().as_raw(),
        root: root.map(|root| Text(Cow::Borrowed(root))),
        message,
        options,
        ..Event::bare(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_an_event_of_this_process_in_this_environment() {
        let root = Path::new("/repo");
        let event = of(b"commandfinish", b"LOGNAME=joe\0", Some(root));
        assert_eq!(*event.name, *b"commandfinish");
        assert_eq!(event.pid, std::process::id());
        assert_eq!(event.uid, nix::unistd::getuid().as_raw());
        assert_eq!(event.user.as_ref().unwrap().0, &b"joe"[..]);
        assert_eq!(event.root.as_ref().unwrap().0, &b"/repo"[..]);
        assert_eq!(event.duration, Some(1.25));
        assert_eq!(*event.message, *b"status exited 0 after 1.25 seconds\n");
        let options: Vec<_> = event
            .options
            .iter()
            .map(|it| (&*it.key, it.value.for_shell()))
            .collect();
        assert_eq!(
            options,
            [
                (&b"return_code"[..], &b"0"[..]),
                (b"duration", b"1.25"),
                (b"canonical_command", b"status"),
            ]
        );
        assert_eq!(event.canonical_command(), Some(&b"status"[..]));
        assert!(event.time.micros > 0);
        let other = of(b"commandfinish", b"", None);
        assert_ne!(other.session, event.session);
        assert_eq!((other.user, other.root), (None, None));
    }

    #[test]
    fn an_unknown_event_has_a_sample_as_well() {
        let event = of(b"mine", b"", None);
        assert_eq!(*event.message, *b"a sample of mine\n");
        assert!(event.options.is_empty());
        assert_eq!(event.canonical_command(), None);
    }
}
