//! From a sink's definition to its outlet.

use uilog_core::sinks::Definition;

use crate::file;
use crate::globals::Globals;
use crate::otlp;
use crate::outlet::Outlet;
use crate::target::Target;

/// Opens what a sink's URL names.
///
/// # Errors
///
/// The URL or an option makes no sense, or a file that an option names cannot
/// be read. That there is nobody at the other end is no error.
pub fn open(
    definition: &Definition,
    globals: &Globals,
) -> Result<Box<dyn Outlet>, String> {
    match Target::parse(&definition.url, globals.environment())? {
        Target::File(template) => {
            Ok(Box::new(file::open(definition, template)))
        }
        Target::Otlp(_) => Ok(Box::new(otlp::open(definition, globals)?)),
        _ => Err("this kind of sink is not there yet".to_owned()),
    }
}
