//! The manifests that hosts are started with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::paths;

/// A `spin.toml`, with absolute paths.
#[derive(Clone)]
pub struct Manifest {
    table: Table,
}

impl Manifest {
    /// The application's own.
    ///
    /// # Panics
    /// Where it cannot be read, or a component of it is not built.
    pub fn application() -> Self {
        let root = paths::root();
        let text = std::fs::read_to_string(root.join("spin.toml")).expect("the manifest is there");
        let mut manifest = Self::parse(&text);
        for (name, component) in manifest.section("component") {
            let source = component
                .get_mut("source")
                .expect("a component has a source");
            let path = absolute(source, &root);
            assert!(
                path.is_file(),
                "component {name} is not built: {}",
                path.display()
            );
        }
        let tool = manifest.tool();
        if let Some(Value::Table(migrations)) = tool.get_mut("migrations") {
            absolute(migrations.get_mut("directory").expect("a directory"), &root);
        }
        manifest
    }

    /// One that a test writes out. A `source` that is no path names a guest.
    ///
    /// # Panics
    /// Where the text is not TOML, or a guest is not built.
    pub fn guests(text: &str) -> Self {
        let mut manifest = Self::parse(&format!(
            "spin_manifest_version = 2\n[application]\nname = \"probe\"\nversion = \"0.1.0\"\n{text}"
        ));
        for (_, component) in manifest.section("component") {
            if let Some(Value::String(source)) = component.get_mut("source")
                && !source.contains(['/', '.'])
            {
                *source = paths::guest(source).to_string_lossy().into_owned();
            }
        }
        manifest
    }

    /// One component, `name`, that answers every path.
    ///
    /// `keys` are lines of the component's own table.
    pub fn one(guest: &str, keys: &str) -> Self {
        let mut text = String::new();
        write!(
            text,
            "[[trigger.http]]\nroute = \"/...\"\ncomponent = \"probe\"\n\
             [component.probe]\nsource = \"{guest}\"\n{keys}"
        )
        .expect("a string takes all");
        Self::guests(&text)
    }

    /// Components, each by its name, its guest and lines of its own `tool`
    /// table, and each behind `/NAME/...`.
    pub fn several(components: &[(&str, &str, &str)]) -> Self {
        let mut text = String::new();
        for (name, guest, limits) in components {
            write!(
                text,
                "[[trigger.http]]\nroute = \"/{name}/...\"\ncomponent = \"{name}\"\n\
                 [component.{name}]\nsource = \"{guest}\"\n\
                 [component.{name}.tool.warmlink]\n{limits}\n"
            )
            .expect("a string takes all");
        }
        Self::guests(&text)
    }

    /// Adds a guest as the component `name`, behind `/NAME/...`, with lines of its
    /// own `tool` table.
    ///
    /// # Panics
    /// Where the lines are not TOML, or the guest is not built.
    #[must_use]
    pub fn with_guest(mut self, name: &str, guest: &str, limits: &str) -> Self {
        let added = Self::several(&[(name, guest, limits)]);
        let component = added.table["component"][name].clone();
        table(&mut self.table, "component").insert(name.to_owned(), component);
        let route = added.table["trigger"]["http"][0].clone();
        let routes = table(&mut self.table, "trigger")
            .get_mut("http")
            .and_then(Value::as_array_mut);
        routes.expect("there are routes").push(route);
        self
    }

    /// Sets a key of `[application.tool.warmlink]`, dotted.
    #[must_use]
    pub fn tool_key(mut self, dotted: &str, value: impl Into<Value>) -> Self {
        set(self.tool(), dotted, value.into());
        self
    }

    /// Sets all of `[application.tool.warmlink]`, given as TOML.
    ///
    /// # Panics
    /// Where the text is not TOML.
    #[must_use]
    pub fn with_tool(mut self, text: &str) -> Self {
        *self.tool() = text.parse().expect("the text is TOML");
        self
    }

    /// Sets a key of the first (and only) declared PostgreSQL pool.
    ///
    /// # Panics
    /// Where none is declared.
    #[must_use]
    pub fn postgres_key(mut self, key: &str, value: impl Into<Value>) -> Self {
        let pools = self
            .tool()
            .get_mut("postgres")
            .and_then(Value::as_array_mut);
        let pool = pools
            .and_then(|pools| pools.first_mut())
            .and_then(Value::as_table_mut);
        pool.expect("a pool is declared")
            .insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[component.ID.tool.warmlink]`, dotted.
    #[must_use]
    pub fn component_key(mut self, id: &str, dotted: &str, value: impl Into<Value>) -> Self {
        let key = format!("component.{id}.tool.warmlink.{dotted}");
        set(&mut self.table, &key, value.into());
        self
    }

    /// The routes, as they are written.
    ///
    /// # Panics
    /// Where there are none.
    pub fn routes(&self) -> Vec<&str> {
        let routes = self.table["trigger"]["http"].as_array();
        let routes = routes.expect("there are routes").iter();
        routes
            .map(|route| route["route"].as_str().expect("a path"))
            .collect()
    }

    /// Where the host serves its own metrics.
    pub fn metrics(&self) -> Option<String> {
        let path = self.table["application"]["tool"]["warmlink"].get("metrics");
        path.and_then(Value::as_str).map(ToOwned::to_owned)
    }

    pub fn text(&self) -> String {
        self.table.to_string()
    }

    fn parse(text: &str) -> Self {
        let table = text.parse().expect("the manifest is TOML");
        Self { table }
    }

    fn tool(&mut self) -> &mut Table {
        table(
            table(table(&mut self.table, "application"), "tool"),
            "warmlink",
        )
    }

    fn section(&mut self, name: &str) -> impl Iterator<Item = (&String, &mut Table)> {
        table(&mut self.table, name)
            .iter_mut()
            .map(|(name, value)| (name, value.as_table_mut().expect("a table of tables")))
    }
}

fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    parent
        .entry(key)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .expect("a table")
}

fn set(mut parent: &mut Table, dotted: &str, value: Value) {
    let mut keys = dotted.split('.').peekable();
    while let Some(key) = keys.next() {
        if keys.peek().is_none() {
            parent.insert(key.to_owned(), value);
            return;
        }
        parent = table(parent, key);
    }
}

fn absolute(value: &mut Value, root: &Path) -> PathBuf {
    let path = root.join(value.as_str().expect("a path"));
    *value = Value::String(path.to_string_lossy().into_owned());
    path
}
