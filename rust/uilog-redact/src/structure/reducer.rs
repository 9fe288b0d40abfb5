//! The interface that the reduction of command lines and messages needs from a
//! redactor.

use std::borrow::Cow;

use crate::redacted::Redacted;
use crate::user::Key;

/// A redactor, as far as it matters here.
pub(crate) trait Secrets {
    /// Takes secrets out of a text.
    fn redact_text<'t>(&self, text: &'t [u8]) -> Redacted<Cow<'t, [u8]>>;

    /// Takes secrets out of a URL, or of one argument.
    fn redact_url<'t>(&self, url: &'t [u8]) -> Redacted<Cow<'t, [u8]>>;

    /// Takes secrets out of a value, by its name.
    fn redact_option<'t>(
        &self,
        key: &[u8],
        value: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>>;

    /// By what users are hashed, if they are.
    fn user_key(&self) -> Option<&Key>;
}

/// Reduces what one redactor is given.
pub(crate) struct Structure<'r>(pub(crate) &'r dyn Secrets);
