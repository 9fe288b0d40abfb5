//! The files, directories and sockets that a sink needs.

use std::fs;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use chrono::Utc;
use nix::unistd::AccessFlags;
use nix::unistd::access;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_finding::finding::Finding;
use uilog_sys::foreign_file;

use super::Found;
use crate::connection;
use crate::exchange::exchangeable;
use crate::file;
use crate::globals::Globals;
use crate::open;
use crate::otlp;
use crate::otlp::http::Collector;
use crate::otlp::settings::Settings;
use crate::owner::Owner;
use crate::target::Target;
use crate::template::Template;

/// The options that name files, and whether their content is secret.
const FILES: [(&str, bool); 5] = [
    ("ca-file", false),
    ("cert-file", false),
    ("key-file", true),
    ("token-file", true),
    ("user-key-file", true),
];
/// The permissions by which others could read.
const OTHERS_READ: u32 = 0o044;
/// Time limit for looking up a user.
const LOOK_UP: Duration = Duration::from_secs(5);

impl Found<'_> {
    /// The files that options name.
    pub(super) fn files(&mut self, definition: &SinkConfig, globals: &Globals) {
        for (name, is_secret) in FILES {
            let Some(text) = definition.text(name) else {
                continue;
            };
            let option = format!("{}:{name}", definition.item());
            let full = format!("{}.{option}", sink_config::SECTION);
            // Opening the sink reports a relative path.
            let Ok(path) = globals.path(&text) else {
                continue;
            };
            let metadata = match readable(&path) {
                Ok(metadata) => metadata,
                // This one was reported already.
                Err(_) if name == "user-key-file" => continue,
                Err(why) => {
                    let text = format!("{full}: {}: {why}", path.display());
                    let finding = Finding::error("sink-file", text)
                        .advise("name a file that you can read");
                    self.add(&option, finding);
                    continue;
                }
            };
            if is_secret && metadata.mode() & OTHERS_READ != 0 {
                let text =
                    format!("{full}: others can read {}", path.display());
                let finding = Finding::warning("sink-file-open", text)
                    .advise(format!("chmod go-rwx {}", path.display()));
                self.add(&option, finding);
            }
        }
    }

    /// Whether files have valid content: certificates, keys and tokens.
    pub(super) fn contents(
        &mut self,
        definition: &SinkConfig,
        globals: &Globals,
        target: &Target,
    ) {
        let result = match target {
            // Invalid settings are reported elsewhere.
            Target::Otlp(_) => Settings::new(definition, globals)
                .map_or(Ok(()), |it| Collector::new(it).check()),
            Target::SyslogTls(_) => open::tls_of(definition, globals).map(drop),
            _ => Ok(()),
        };
        let Err(why) = result else { return };
        let item = definition.item();
        let text = format!("{}.{item}: {why}", sink_config::SECTION);
        let finding = Finding::error("sink-file", text)
            .advise("until then nothing can be sent there");
        self.add(&item, finding);
    }

    /// The file that would be written now.
    pub(super) fn log_file(
        &mut self,
        definition: &SinkConfig,
        template: &Template,
    ) {
        let path = template.path(&Utc::now().fixed_offset());
        if let Err(why) = writable(&path) {
            let item = definition.item();
            let text = format!(
                "{}.{item}: {} cannot be written: {why}",
                sink_config::SECTION,
                path.display()
            );
            let finding = Finding::error("sink-unwritable", text)
                .advise("every event for it is lost, and counted");
            self.add(&item, finding);
            return;
        }
        let files = file::open(definition, template.clone());
        if let Some(why) = files.rotation_problem(&path) {
            let item = definition.item();
            let text = format!(
                "{}.{item}: {} cannot be rotated: {why}",
                sink_config::SECTION,
                path.display()
            );
            let finding = Finding::warning("sink-growing", text).advise(
                "correct that: until then the file grows without \
                    limit",
            );
            self.add(&item, finding);
        }
        if let Some((place, why)) = exchangeable(&path) {
            let item = definition.item();
            let text = format!(
                "{}.{item}: {} {why}: other users can replace {}",
                sink_config::SECTION,
                place.display(),
                path.display()
            );
            let finding = Finding::warning("sink-exchangeable", text).advise(
                "name a file in a directory that only you can write \
                    to",
            );
            self.add(&item, finding);
        }
    }

    /// Checks that there is a socket, and its owner.
    pub(super) fn socket(&mut self, definition: &SinkConfig, path: &Path) {
        let problem = match fs::metadata(path) {
            Ok(metadata) if metadata.file_type().is_socket() => {
                let owner = Owner::new(definition);
                let until = Instant::now() + LOOK_UP;
                let checked = owner.check("the socket", metadata.uid(), until);
                if let Err(error) = checked {
                    let item = definition.item();
                    let text = format!(
                        "{}.{item}: {}: {error}",
                        sink_config::SECTION,
                        path.display()
                    );
                    let finding = Finding::error("sink-foreign", text).advise(
                        "until then every event for it is lost, and counted",
                    );
                    self.add(&item, finding);
                    return;
                }
                let access = access(path, AccessFlags::W_OK);
                access.err().map(|errno| errno.desc().to_owned())
            }
            Ok(_) => Some("it is not a socket".to_owned()),
            Err(error) => {
                if let Some(why) = connection::too_long(path) {
                    self.unusable_path(definition, path, &why);
                    return;
                }
                Some(error.to_string())
            }
        };
        if let Some(problem) = problem {
            let item = definition.item();
            let text = format!(
                "{}.{item}: {} cannot be reached: {problem}",
                sink_config::SECTION,
                path.display()
            );
            let finding = Finding::warning("sink-no-receiver", text)
                .advise("start the program that should listen there");
            self.add(&item, finding);
        }
    }

    /// A path where no socket can be.
    fn unusable_path(
        &mut self,
        definition: &SinkConfig,
        path: &Path,
        why: &str,
    ) {
        let item = definition.item();
        let text = format!(
            "{}.{item}: {}: {why}",
            sink_config::SECTION,
            path.display()
        );
        let finding = Finding::error("sink-path", text);
        let advice = "until then every event for it is lost, and counted";
        self.add(&item, finding.advise(advice));
    }

    /// Whether there is, or could be, a place for the numbers of records that
    /// no spool numbers.
    pub(super) fn numbers(
        &mut self,
        definition: &SinkConfig,
        globals: &Globals,
    ) {
        let place = globals.numbers.as_ref().map_err(Clone::clone);
        let problem = place.and_then(|dir| {
            let found = uilog_spool::find_dir(dir, globals.home.as_deref());
            let is_there = found.map_err(|error| error.to_string())?;
            usable(dir, is_there)
        });
        let Err(problem) = problem else { return };
        let item = definition.item();
        let text = format!(
            "{}.{item}: its records have no numbers: {problem}",
            sink_config::SECTION
        );
        let finding = Finding::warning("sink-unnumbered", text).advise(
            "records arrive, but the receiver cannot count those that do not: \
             make it a directory that only you can write to, or set \
             XDG_STATE_HOME to another one",
        );
        self.add(&item, finding);
    }

    /// Whether there is, or could be, a spool.
    pub(super) fn spool(&mut self, definition: &SinkConfig, globals: &Globals) {
        let found = otlp::find_spool(&definition.name, globals);
        let problem = found.and_then(|spool| {
            let dir = otlp::spool_dir(&definition.name, globals)?;
            usable(&dir, spool.is_some())
        });
        if let Err(problem) = problem {
            let item = definition.item();
            let text = format!(
                "{}.{item}: records cannot be spooled: {problem}",
                sink_config::SECTION
            );
            let finding = Finding::error("spool-unusable", text).advise(
                "make it a directory that only you can write to, or name \
                 another one: [uilog] spool = DIR",
            );
            self.add(&item, finding);
        }
    }
}

/// Whether something can be made in a directory, if that is there, or else it
/// itself.
fn usable(dir: &Path, is_there: bool) -> Result<(), String> {
    let result = if is_there {
        access(dir, AccessFlags::W_OK | AccessFlags::X_OK)
            .map_err(|errno| errno.desc().to_owned())
    } else {
        creatable(dir)
    };
    result.map_err(|why| format!("{}: {why}", dir.display()))
}

/// Whether a file can be read.
fn readable(path: &Path) -> Result<Metadata, String> {
    foreign_file::open(path)
        .map(|(_, metadata)| metadata)
        .map_err(|error| error.to_string())
}

/// Whether a file can be appended to, or made.
pub(crate) fn writable(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => access(path, AccessFlags::W_OK)
            .map_err(|errno| errno.desc().to_owned()),
        Ok(_) => Err("it is not a file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), creatable)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether there is a directory in which something can be made, or one in
/// which that can be made.
fn creatable(dir: &Path) -> Result<(), String> {
    for dir in dir.ancestors() {
        match fs::metadata(dir) {
            Ok(metadata) if metadata.is_dir() => {
                return access(dir, AccessFlags::W_OK | AccessFlags::X_OK)
                    .map_err(|errno| {
                        format!("{}: {}", dir.display(), errno.desc())
                    });
            }
            Ok(_) => {
                return Err(format!(
                    "{} is not a \
                directory",
                    dir.display()
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", dir.display())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_can_be_made_where_there_is_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        assert_eq!(writable(&file), Ok(()));
        assert_eq!(writable(&dir.path().join("a/b/c")), Ok(()));
        fs::write(&file, "").unwrap();
        assert_eq!(writable(&file), Ok(()));
        assert_eq!(writable(dir.path()), Err("it is not a file".to_owned()));
        let below = writable(&file.join("a")).unwrap_err();
        assert!(below.contains("Not a directory"), "{below}");
        assert!(creatable(&file).unwrap_err().contains("is not a directory"));
    }

    #[test]
    fn only_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        assert!(readable(&file).is_err());
        fs::write(&file, "").unwrap();
        assert!(readable(&file).is_ok());
        assert_eq!(
            readable(dir.path()).unwrap_err(),
            "it is a directory, not a regular file"
        );
    }
}
