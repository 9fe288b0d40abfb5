//! Variables and home directories in paths.

use crate::environment::Environment;

/// Replaces `$NAME` and `${NAME}`, then `~` and `~USER`.
// hg: util.expandpath
pub fn expand_path(path: &[u8], environment: &Environment) -> Vec<u8> {
    expand_user(&expand_variables(path, environment), environment)
}

/// Replaces variables; unset ones stay unchanged.
// Python: posixpath.expandvars
pub fn expand_variables(path: &[u8], environment: &Environment) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        expanded.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar..];
        let (name, length) = match variable(&rest[1..]) {
            Some((name, length)) => (Some(name), length + 1),
            None => (None, 1),
        };
        let value = name.and_then(|name| environment.var(name));
        expanded.extend_from_slice(value.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    expanded.extend_from_slice(rest);
    expanded
}

/// The names of the variables in a path.
pub fn variables_in(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dollars = path.iter().enumerate().filter(|it| *it.1 == b'$');
    dollars.filter_map(|(at, _)| Some(variable(&path[at + 1..])?.0))
}

/// The name after a `$`, and its length in the text.
fn variable(text: &[u8]) -> Option<(&[u8], usize)> {
    if let Some(rest) = text.strip_prefix(b"{") {
        let end = rest.iter().position(|byte| *byte == b'}')?;
        return Some((&rest[..end], end + 2));
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = text.iter().position(|byte| !is_word(byte));
    let end = end.unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], end))
}

/// Replaces `~` or `~USER` at the beginning, if there is such a user.
// Python: posixpath.expanduser
pub fn expand_user(path: &[u8], environment: &Environment) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"~") else {
        return path.to_vec();
    };
    let end = rest.iter().position(|byte| *byte == b'/');
    let (user, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let Some(mut expanded) = environment.home(user) else {
        return path.to_vec();
    };
    expanded.extend_from_slice(rest);
    if expanded.is_empty() {
        expanded.push(b'/');
    }
    expanded
}

#[cfg(test)]
mod tests {
    use nix::unistd::Uid;
    use nix::unistd::User;

    use super::*;

    fn environment() -> Environment {
        Environment::of(&[("HOME", "/home/me/"), ("A", "a"), ("A_1", "$A")])
    }

    #[test]
    fn variables_and_homes() {
        let cases = [
            ("~", "/home/me"),
            ("~/x$A/${A}b", "/home/me/xa/ab"),
            ("$A_1 $B ${B} $", "$A $B ${B} $"),
            ("${A", "${A"),
            ("$$A", "$a"),
            ("x~", "x~"),
            ("~no-such-user/x", "~no-such-user/x"),
        ];
        for (path, expanded) in cases {
            let ours = expand_path(path.as_bytes(), &environment());
            assert_eq!(String::from_utf8(ours).unwrap(), expanded, "{path}");
        }
    }

    #[test]
    fn homes_are_those_of_the_user_database() {
        let user = User::from_uid(Uid::current()).unwrap().unwrap();
        let dir = user.dir.to_str().unwrap();
        let nobody = Environment::of(&[]);
        for path in ["~/x".to_owned(), format!("~{}/x", user.name)] {
            let ours = expand_user(path.as_bytes(), &nobody);
            assert_eq!(ours, format!("{dir}/x").as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_home_that_is_the_root_has_one_slash() {
        let environment = Environment::of(&[("HOME", "/")]);
        assert_eq!(expand_user(b"~", &environment), b"/");
        assert_eq!(expand_user(b"~/x", &environment), b"/x");
    }

    #[test]
    fn variables_are_found_wherever_they_are() {
        let names: Vec<_> = variables_in(b"$A/${B c}$C_1$$D/$ ${E").collect();
        assert_eq!(names, [&b"A"[..], b"B c", b"C_1", b"D"]);
    }
}
