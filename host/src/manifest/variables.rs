//! The application's variables, and the texts that are made of them.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::reader::{Node, Table};
use super::template::{Part, Template};
use super::{Value, ident, suggest};

const EITHER: &str = "write either required = true or default = \"...\"";

/// What `[variables]` declares, with the values from outside.
#[derive(Default)]
pub(super) struct Variables {
    declared: IndexMap<String, Variable>,
}

#[derive(Default)]
struct Variable {
    /// None where there is none, which is a fault already.
    value: Option<String>,
    secret: bool,
}

impl Variables {
    pub(super) fn read(root: &mut Table<'_>, overrides: &BTreeMap<String, String>) -> Self {
        let table = root.get("variables").and_then(|node| node.table());
        let entries = table.map(|table| table.entries()).unwrap_or_default();
        let declared = entries
            .into_iter()
            .map(|(name, node)| {
                let given = overrides.get(name).cloned();
                (name.to_owned(), Variable::read(name, &node, given))
            })
            .collect();
        Self { declared }
    }

    /// The text of a template. `None` is a fault, reported here or where the
    /// variable is declared.
    pub(super) fn resolve(&self, node: &Node<'_>) -> Option<Value> {
        let source = node.string()?;
        let template = match Template::parse(source) {
            Ok(template) => template,
            Err(error) => {
                node.fault(
                    error.to_string(),
                    "write a variable as \"{{ name }}\"; there is no escape for \"{{\"",
                );
                return None;
            }
        };
        if let Some(text) = template.literal() {
            return Some(Value::new(text.to_owned(), false));
        }
        for name in template.variables() {
            if !self.declared.contains_key(name) {
                let names: Vec<&str> = self.declared.keys().map(String::as_str).collect();
                let help = if names.is_empty() {
                    format!("declare it under [variables]: {name} = {{ required = true }}")
                } else {
                    suggest::help(name, &names, "the variables are")
                };
                node.fault(format!("no variable {name:?} is declared"), help);
            }
        }
        let mut text = String::new();
        let mut secret = false;
        for part in template.parts() {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => {
                    let variable = self.declared.get(&**name)?;
                    text.push_str(variable.value.as_deref()?);
                    secret |= variable.secret;
                }
            }
        }
        Some(Value::new(text, secret))
    }
}

impl Variable {
    fn read(name: &str, node: &Node<'_>, given: Option<String>) -> Self {
        if !ident::is_lower_snake(name) {
            node.fault(
                format!("{name:?} cannot name a variable"),
                "write lower-case words of letters and digits, joined by '_', each beginning with a letter",
            );
        }
        let Some(mut table) = node.table() else {
            return Self::default();
        };
        if let Some(description) = table.get("description") {
            description.string();
        }
        let default = table.get("default");
        let required = table.get("required");
        let secret = table.get("secret").and_then(|node| node.boolean());
        table.finish();
        // One that is neither true nor false is a fault already, and no more.
        let required = match required {
            Some(node) => node.boolean(),
            None => Some(false),
        };
        match (required, &default) {
            (Some(true), None) if given.is_none() => node.fault(
                format!("the variable {name:?} is required and has no value"),
                how_to_set(name),
            ),
            (Some(true), Some(_)) => node.fault(
                "a required variable has no default: it would never be used",
                EITHER,
            ),
            (Some(false), None) => {
                node.fault("the variable is not required and has no default", EITHER)
            }
            _ => {}
        }
        let default = default.and_then(|node| node.string());
        Self {
            value: given.or(default.map(str::to_owned)),
            secret: secret.unwrap_or(false),
        }
    }
}

/// How a value comes from outside. Those of the two servers have an address of
/// their own, which gives both their variables.
fn how_to_set(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let set = format!("set SPIN_VARIABLE_{upper} in the environment");
    match name {
        "database_url" | "database_origin" => format!("set DATABASE_URL, or {set}"),
        "valkey_url" | "valkey_origin" => format!("set VALKEY_URL, or {set}"),
        _ => set,
    }
}
