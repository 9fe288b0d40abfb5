//! What the names of options say about their values, for any program.
//!
//! Must not know programs or values.

/// Options of any program whose value is a secret, without dashes.
const SECRET_OPTIONS: [&[u8]; 12] = [
    b"pw",
    b"pass",
    b"passwd",
    b"password",
    b"passphrase",
    b"passwort",
    b"storepass",
    b"keypass",
    b"passin",
    b"pwd",
    b"pat",
    b"otp",
];

/// Whether the value of an option of this name is a secret, for any program.
pub(super) fn is_secret_option(name: &[u8]) -> bool {
    SECRET_OPTIONS
        .iter()
        .any(|option| option.eq_ignore_ascii_case(name))
}

/// Whether an option of this name is followed by a command that prints a
/// secret.
pub(super) fn is_command(name: &[u8]) -> bool {
    [
        &b"_cmd"[..],
        b"-cmd",
        b"_command",
        b"-command",
        b"passcommand",
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
}

/// Whether an option of this name is followed by a value that stays.
pub(super) fn is_value(name: &[u8]) -> bool {
    [&b"value"[..], b"-string", b"-data", b"body"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Whether an option of this name is followed by a user and a password.
pub(super) fn is_account(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [
        &b"userpwd"[..],
        b"userpass",
        b"basic-auth",
        b"basicauth",
        b"auth",
        b"proxy-auth",
        b"http-auth",
        b"creds",
        b"cred",
        b"credentials",
        b"proxy-creds",
        b"user-pass",
        b"userpassword",
        b"proxy-user",
        b"auth-basic",
    ]
    .contains(&&name[..])
}
