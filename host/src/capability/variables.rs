//! `spin:variables@3.0.0` and `fermyon:spin/variables@2.0.0`: the component's
//! own variables, resolved when it was loaded.

use super::{Grants, HasCapabilities, Host, View};
use wasmtime::component::{Accessor, Linker};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package warmlink:variables;
            world imports {
                import spin:variables/variables@3.0.0;
                import fermyon:spin/variables@2.0.0;
            }
        ",
    });
}

use bindings::fermyon::spin::variables as v2;
use bindings::spin::variables::variables as v3;

/// Provides both versions of the interface.
///
/// # Errors
///
/// When something else provides them already.
pub fn link<T: HasCapabilities>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    v3::add_to_linker::<T, Host>(linker, T::capabilities)?;
    v2::add_to_linker::<T, Host>(linker, T::capabilities)
}

impl v3::Host for View<'_> {}

impl<T: HasCapabilities> v3::HostWithStore<T> for Host {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, v3::Error> {
        accessor
            .with(|mut store| value(&store.get().state.grants, &name))
            .map_err(|refusal| match refusal {
                Refusal::InvalidName(text) => v3::Error::InvalidName(text),
                Refusal::Undefined(text) => v3::Error::Undefined(text),
            })
    }
}

impl v2::Host for View<'_> {
    fn get(&mut self, name: String) -> Result<String, v2::Error> {
        value(&self.state.grants, &name).map_err(|refusal| match refusal {
            Refusal::InvalidName(text) => v2::Error::InvalidName(text),
            Refusal::Undefined(text) => v2::Error::Undefined(text),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    InvalidName(String),
    Undefined(String),
}

fn value(grants: &Grants, name: &str) -> Result<String, Refusal> {
    if let Some(value) = grants.variables.get(name) {
        return Ok(value.expose().to_owned());
    }
    match fault(name) {
        Some(fault) => Err(Refusal::InvalidName(format!("{name:?} {fault}"))),
        None => Err(Refusal::Undefined(format!(
            "component {:?} has no variable {name:?}",
            grants.component
        ))),
    }
}

/// Why no variable can have this name: words of lower-case letters and digits,
/// joined by single underscores, the first character a letter.
fn fault(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() {
        Some("is empty")
    } else if !name.chars().all(allowed) {
        Some("has a character other than a-z, 0-9 and _")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("does not begin with a letter")
    } else if name.ends_with('_') {
        Some("ends with an underscore")
    } else if name.contains("__") {
        Some("has two underscores in a row")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_snake_case() {
        for name in ["a", "db_url", "x1_2"] {
            assert_eq!(fault(name), None, "{name}");
        }
        for name in [
            "", "A", "dbUrl", "db-url", "1a", "_a", "a_", "a__b", "é", "a b",
        ] {
            assert!(fault(name).is_some(), "{name}");
        }
    }
}
