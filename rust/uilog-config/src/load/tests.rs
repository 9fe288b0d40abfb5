//! What is read, in which order, and for whom. That this is what hg does, is shown
//! by `tests/test_config_parity.py`, which compares it with hg itself.

mod problems;

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Uid;
use tempfile::TempDir;

use super::FileState;
use super::Loaded;
use super::Request;
use super::load;
use crate::Config;
use crate::Environment;
use crate::Error;
use crate::Layer;

/// A directory with a user's file, a home and perhaps repositories. Files of the
/// system are not read.
struct Place {
    dir: TempDir,
    root: PathBuf,
    variables: HashMap<Vec<u8>, Vec<u8>>,
    user: Uid,
}

impl Place {
    fn new(user_rc: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let place = Self {
            dir,
            root,
            variables: HashMap::new(),
            user: Uid::current(),
        };
        place.write("user.rc", user_rc);
        let (home, file) = (place.path("home"), place.path("user.rc"));
        place
            .with("HOME", home.to_str().unwrap())
            .with("HGRCPATH", file.to_str().unwrap())
    }

    fn with(mut self, variable: &str, value: &str) -> Self {
        self.variables.insert(variable.into(), value.into());
        self
    }

    /// Read by a user who does not own the files.
    fn for_stranger(mut self) -> Self {
        self.user = Uid::from_raw(self.user.as_raw() + 4242);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn try_load(&self, cwd: &str, request: &Request) -> Result<Loaded, Error> {
        assert!(self.dir.path().exists());
        fs::create_dir_all(self.path(cwd)).unwrap();
        let environment =
            Environment::new(self.variables.clone(), self.path(cwd))
                .with_user(self.user);
        load(request, &environment)
    }

    fn load(&self, cwd: &str) -> Loaded {
        self.try_load(cwd, &Request::default()).unwrap()
    }

    fn load_named(&self, cwd: &str, repository: &str) -> Loaded {
        self.try_load(cwd, &named(repository)).unwrap()
    }

    /// The text of the error, without the directory, and the exit status.
    fn failure(&self, cwd: &str, request: &Request) -> (String, u8) {
        let error = self.try_load(cwd, request).unwrap_err();
        (self.without_root(&error.to_string()), error.exit_status())
    }

    fn without_root(&self, text: &str) -> String {
        text.replace(self.root.to_str().unwrap(), "")
    }

    fn warnings(&self, loaded: &Loaded) -> Vec<String> {
        let texts = loaded.warnings.iter();
        texts
            .map(|it| self.without_root(&String::from_utf8_lossy(it)))
            .collect()
    }

    fn files(&self, loaded: &Loaded) -> Vec<(Layer, String, FileState)> {
        let name = |path: &Path| self.without_root(path.to_str().unwrap());
        let files = loaded.files.iter();
        files
            .map(|it| (it.layer, name(&it.path), it.state.clone()))
            .collect()
    }
}

fn named(repository: &str) -> Request {
    Request {
        repository: Some(repository.into()),
        ..Request::default()
    }
}

fn options(options: &[&str]) -> Request {
    Request {
        config: options.iter().map(|it| (*it).into()).collect(),
        ..Request::default()
    }
}

/// A section's items, `NAME=VALUE`.
fn section(config: &Config, section: &str) -> String {
    let items = config.items(section.as_bytes()).map(|(name, entry)| {
        String::from_utf8([name, b"=", &entry.value].concat()).unwrap()
    });
    items.collect::<Vec<_>>().join(" ")
}

/// Where an item comes from.
fn source(config: &Config, section: &str, name: &str) -> Option<String> {
    let entry = config.get(section.as_bytes(), name.as_bytes())?;
    Some(entry.source.to_string())
}

#[test]
fn what_is_nearer_to_the_command_overrides() {
    let place =
        Place::new("[a]\nuser=1\nrepo=1\nalone=1\nfile=1\noption=1\n[b]\nc=1");
    place.write(
        "repo/.hg/hgrc",
        "[a]\nrepo=2\nalone=2\nfile=2\noption=2\n%include more",
    );
    place.write("repo/.hg/more", "[b]\nc=2");
    place.write(
        "repo/.hg/hgrc-not-shared",
        "[a]\nalone=3\nfile=3\noption=3\n",
    );
    place.write("file.rc", "[a]\nfile=4\noption=4\n");
    let request = Request {
        config_files: vec!["../../file.rc".into()],
        ..options(&[" a.option = 5 "])
    };
    let loaded = place.try_load("repo/deep", &request).unwrap();
    for config in [&loaded.trusted, &loaded.untrusted] {
        let mut items: Vec<_> =
            config.items(b"a").map(|it| it.1.value.clone()).collect();
        items.sort();
        assert_eq!(items.concat(), b"12345");
        assert_eq!(section(config, "b"), "c=2");
    }
    let from = |name| source(&loaded.trusted, "a", name).unwrap();
    assert!(from("repo").ends_with("/repo/.hg/hgrc:2"));
    assert_eq!(from("file"), "../../file.rc:2");
    assert_eq!(from("option"), "--config");
    assert_eq!(
        source(&loaded.trusted, "bundle", "mainreporoot").unwrap(),
        "repo"
    );
    assert_eq!(loaded.root, Some(place.path("repo")));
    assert_eq!(loaded.warnings, [] as [Vec<u8>; 0]);
    let files = place.files(&loaded);
    let files: Vec<_> = files
        .iter()
        .map(|(layer, path, state)| {
            assert_eq!(*state, FileState::Read);
            (layer.name(), path.as_str())
        })
        .collect();
    assert_eq!(
        files,
        [
            ("user", "/user.rc"),
            ("command-line", "../../file.rc"),
            ("repository", "/repo/.hg/hgrc"),
            ("repository", "/repo/.hg/more"),
            ("not-shared", "/repo/.hg/hgrc-not-shared"),
        ]
    );
}

#[test]
fn the_environment_and_skipped_repositories() {
    let place = Place::new("[ui]\neditor=mine\n[a]\nb=1")
        .with("EDITOR", "ed")
        .with("VISUAL", "vi")
        .with("PAGER", "more")
        .with("HGRCSKIPREPO", "");
    place.write("repo/.hg/hgrc", "[a]\nb=2");
    place.write("repo/.hg/requires", "lfs\n");
    let loaded = place.load("repo");
    assert_eq!(section(&loaded.trusted, "a"), "b=1");
    assert_eq!(section(&loaded.trusted, "extensions"), "");
    assert_eq!(section(&loaded.trusted, "ui"), "editor=mine");
    let pager = source(&loaded.untrusted, "pager", "pager");
    assert_eq!(pager.as_deref(), Some("$PAGER"));
    // The repository is there nevertheless.
    assert_eq!(loaded.root, Some(place.path("repo")));
}

#[test]
fn flags_must_be_booleans_if_hg_looks_at_them() {
    let fails = |user_rc: &str| {
        let place = Place::new(&format!("[ui]\n{user_rc}"));
        place.try_load("", &Request::default()).is_err()
    };
    for name in [
        "debug",
        "verbose",
        "quiet",
        "report_untrusted",
        "timestamp-output",
        "traceback",
        "logblockedtimes",
        "tweakdefaults",
    ] {
        assert!(fails(&format!("{name}=maybe")), "{name}");
        assert!(!fails(&format!("{name}=no")), "{name}");
        // Under --debug hg looks at neither of these.
        let is_looked_at =
            !["verbose", "quiet", "report_untrusted"].contains(&name);
        if name != "debug" {
            let text = format!("debug=yes\n{name}=maybe");
            assert_eq!(fails(&text), is_looked_at, "{name}");
        }
    }
    assert!(fails("debug=yes\n[devel]\ndebug.extensions=maybe"));
    assert!(!fails("debug=no\n[devel]\ndebug.extensions=maybe"));
    // It does so as well when something else has been set.
    let place = Place::new("[devel]\ndebug.extensions=maybe");
    for (option, is_looked_at) in [("ui.debug=1", true), ("a.b=1", false)] {
        let loaded = place.try_load("", &options(&[option]));
        assert_eq!(loaded.is_err(), is_looked_at, "{option}");
    }
}

#[test]
fn tweaked_defaults_yield_to_what_is_set() {
    let tweaked = "[ui]\ntweakdefaults=yes\ninterface=text\n[diff]\ngit=no\n";
    let loaded = Place::new(tweaked).load("");
    assert_eq!(
        section(&loaded.trusted, "diff"),
        "git=no showfunc=1 word-diff=1"
    );
    let interface = loaded.trusted.value(b"ui", b"interface");
    assert_eq!(interface, Some(&b"text"[..]));
    let from = source(&loaded.trusted, "commands", "update.check");
    assert_eq!(from.as_deref(), Some("<tweakdefaults>"));

    let is_tweaked = |place: Place| {
        let loaded = place.load("");
        loaded.trusted.get(b"diff", b"showfunc").is_some()
    };
    assert!(!is_tweaked(Place::new("[ui]\ntweakdefaults=no")));
    assert!(!is_tweaked(Place::new(tweaked).with("HGPLAIN", "")));
    let except = Place::new(tweaked).with("HGPLAINEXCEPT", "tweakdefaults");
    assert!(is_tweaked(except));
}

#[test]
fn plain_removes_what_would_disturb_scripts() {
    let text = "[ui]\nverbose=yes\nstyle=x\nusername=me\n[alias]\na=b\n\
                [defaults]\na=b\n[commands]\na=b\n[revsetalias]\na=b\n";
    let left = |variables: &[(&str, &str)]| {
        let mut place = Place::new(text);
        for (name, value) in variables {
            place = place.with(name, value);
        }
        let config = place.load("").trusted;
        ["ui", "alias", "defaults", "commands", "revsetalias"]
            .map(|name| section(&config, name))
            .join("|")
    };
    let everything = "verbose=yes style=x username=me|a=b|a=b|a=b|a=b";
    assert_eq!(left(&[]), everything);
    assert_eq!(left(&[("HGPLAIN", "")]), "username=me||||");
    // Even without HGPLAIN.
    let except = left(&[("HGPLAINEXCEPT", " i18n,alias ")]);
    assert_eq!(except, "username=me|a=b|||");
}

#[test]
fn relative_paths_are_relative_to_where_they_were_set() {
    let place = Place::new(
        "[paths]\nmine = x\nlonger = $TOP/y\nchained = path://mine\nempty =\n\
         mine:pushurl = z\n",
    );
    let top = place.root.to_str().unwrap().to_owned();
    let place = place.with("TOP", &top);
    place.write("repo/.hg/hgrc", "[paths]\ntheirs = ../sibling\n");
    for repository in ["home/x", "y", "sibling", "repo/deep/option", "empty"] {
        place.write(&format!("{repository}/.hg/hgrc"), "");
    }
    let root = |name: &str| {
        let request = Request {
            repository: Some(name.into()),
            ..options(&["paths.option=option"])
        };
        let root = place.try_load("repo/deep", &request).unwrap().root;
        place.without_root(root.unwrap().to_str().unwrap())
    };
    assert_eq!(root("mine"), "/home/x");
    assert_eq!(root("longer"), "/y");
    assert_eq!(root("chained"), "/home/x");
    assert_eq!(root("theirs"), "/sibling");
    assert_eq!(root("option"), "/repo/deep/option");
    assert_eq!(root(""), "/repo");
    // No names: a path as it is.
    assert_eq!(root("../../empty"), "/empty");
    assert_eq!(root("file:../../empty"), "/empty");
    for name in ["empty", "mine:pushurl"] {
        let (message, _) = place.failure("repo/deep", &named(name));
        assert_eq!(message, format!("abort: repository {name} not found"));
    }
    // Neither a URL nor an absolute path is changed.
    for (path, message) in [
        ("ssh://h/r", "repository 'ssh://h/r' is not local"),
        ("/nowhere/../r", "repository /nowhere/../r not found"),
    ] {
        let request = Request {
            repository: Some(b"it".to_vec()),
            ..options(&[&format!("paths.it={path}")])
        };
        let failure = place.failure("repo/deep", &request);
        assert_eq!(failure.0, format!("abort: {message}"));
    }
    // What its files say counts once it is named.
    place.write("sibling/.hg/hgrc", "[a]\nb=1");
    let loaded = place.load_named("repo/deep", "theirs");
    assert_eq!(section(&loaded.trusted, "a"), "b=1");
    assert_eq!(loaded.trusted.get(b"paths", b"theirs"), None);
}

#[test]
fn doubled_percent_signs_are_single_and_deprecated() {
    let place = Place::new("[paths]\na = %%x%%%y%\na:b = %%\n");
    let loaded = place.load("");
    assert_eq!(section(&loaded.trusted, "paths"), "a:b=%% a=%x%%y%");
    let warning =
        "(deprecated '%' in path a=%%x%%%y% from /user.rc:2)".to_owned();
    assert_eq!(place.warnings(&loaded)[0], warning);
}

#[test]
fn a_share_reads_its_sources_file_if_both_are_safe() {
    let place = Place::new("");
    place.write(
        "main/.hg/hgrc",
        "[a]\nb=main\nc=main\n[paths]\nthere=../other\n",
    );
    place.write("main/.hg/store/requires", "lfs\n");
    place.write("share/.hg/hgrc", "[a]\nc=share\n");
    let items = |requires: &str, path: &str| {
        place.write("share/.hg/requires", requires);
        place.write("share/.hg/sharedpath", path);
        let config = place.load("share").trusted;
        let (a, extensions) =
            (section(&config, "a"), section(&config, "extensions"));
        format!("{a}; {extensions}")
    };
    let main = place.path("main/.hg");
    let main = main.to_str().unwrap();
    let both = "b=main c=share; lfs=";
    assert_eq!(items("shared\nshare-safe\n", main), both);
    assert_eq!(items("shared\nshare-safe\n", &format!("{main}\n")), both);
    assert_eq!(items("relshared\r\nshare-safe", "../../main/.hg\n"), both);
    assert_eq!(items("shared\n", main), "c=share; ");
    assert_eq!(items("share-safe\n", main), "c=share; ");

    // Its paths have names from the beginning, and are relative to the share.
    place.write("share/.hg/requires", "shared\nshare-safe\n");
    place.write("other/.hg/hgrc", "");
    let loaded = place.load_named("share", "there");
    assert_eq!(loaded.root, Some(place.path("other")));
}

#[test]
fn extensions_that_a_repository_needs_are_on_unless_it_says_otherwise() {
    let place = Place::new("[extensions]\nlargefiles = !\n");
    place.write("repo/.hg/requires", "share-safe\ngit\nlargefiles\n");
    place.write("repo/.hg/store/requires", "lfs\nother\n");
    let loaded = place.load("repo");
    let extensions = section(&loaded.trusted, "extensions");
    assert_eq!(extensions, "largefiles=! git= lfs=");
    let from = source(&loaded.trusted, "extensions", "git");
    assert_eq!(from.as_deref(), Some("autoload"));
    // The store's count only for those that say so.
    place.write("repo/.hg/requires", "git\n");
    let loaded = place.load("repo");
    let extensions = section(&loaded.trusted, "extensions");
    assert_eq!(extensions, "largefiles=! git=");
}

#[test]
fn the_root_has_no_links_and_bytes_are_kept() {
    let place = Place::new("[a]\nb = \u{e9}\n");
    place.write("repo/.hg/hgrc", "");
    std::os::unix::fs::symlink(place.path("repo"), place.path("link")).unwrap();
    let loaded = place.load_named("", "link");
    assert_eq!(loaded.root, Some(place.path("repo")));
    let value = loaded.trusted.value(b"bundle", b"mainreporoot").unwrap();
    assert_eq!(value, place.path("repo").as_os_str().as_bytes());
    assert_eq!(loaded.trusted.value(b"a", b"b"), Some("\u{e9}".as_bytes()));
}
