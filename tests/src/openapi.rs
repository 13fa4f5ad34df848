//! The document of the public API, as its source has it, and what it says of an
//! answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::schema::Schemas;
use crate::{Reply, paths};

/// Headers of HTTP itself, which every answer may have.
const HTTP_HEADERS: [&str; 5] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "transfer-encoding",
];

/// The document.
#[derive(Debug)]
pub struct Document(Value);

/// One method at one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// With its parameters in braces.
    pub path: String,
    /// In capitals.
    pub method: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Document {
    /// The one in the source.
    ///
    /// # Panics
    /// Where it is not there, or no JSON.
    pub fn source() -> Self {
        let path = paths::root().join("components/health/src/openapi.json");
        let text = std::fs::read_to_string(path).expect("the document is there");
        Self(serde_json::from_str(&text).expect("it is JSON"))
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The methods of each path.
    pub fn methods(&self) -> BTreeMap<&str, BTreeSet<String>> {
        let mut methods = BTreeMap::<_, BTreeSet<_>>::new();
        for (path, item) in members(&self.0["paths"]) {
            let names = members(item).map(|(name, _)| name.to_uppercase());
            methods.insert(
                path.as_str(),
                names.filter(|name| name != "PARAMETERS").collect(),
            );
        }
        methods
    }

    /// Every method at every path.
    pub fn places(&self) -> Vec<Place> {
        let methods = self.methods();
        let places = methods.iter().flat_map(|(path, methods)| {
            methods.iter().map(|method| Place {
                path: (*path).to_owned(),
                method: method.clone(),
            })
        });
        places.collect()
    }

    /// What the document says of a place.
    ///
    /// # Panics
    /// Where it does not know it.
    fn operation(&self, place: &Place) -> &Value {
        let item = &self.0["paths"][&place.path];
        let operation = &item[place.method.to_lowercase()];
        assert!(operation.is_object(), "{place} is not in the document");
        operation
    }

    /// The statuses that a place may answer.
    ///
    /// # Panics
    /// Where one is no number.
    pub fn statuses(&self, place: &Place) -> BTreeSet<u16> {
        let responses = members(&self.operation(place)["responses"]);
        let statuses = responses.map(|(status, _)| status.parse());
        statuses.map(|status| status.expect("a status")).collect()
    }

    /// The parameters of a place that stand in its query: name and schema.
    pub fn query(&self, place: &Place) -> Vec<(&str, &Value)> {
        let schemas = Schemas::open(&self.0);
        let parameters = self.operation(place)["parameters"].as_array();
        let parameters = parameters.into_iter().flatten();
        parameters
            .map(|parameter| schemas.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| (text(&parameter["name"]), &parameter["schema"]))
            .collect()
    }

    /// The schema of a place's JSON body, and its example.
    pub fn body(&self, place: &Place) -> Option<(&Value, &Value)> {
        let body = &self.operation(place)["requestBody"];
        let content = body["content"].get("application/json")?;
        Some((&content["schema"], &content["example"]))
    }

    /// The members that an object's schema lists, and those of them that it requires.
    pub fn fields<'a>(&'a self, schema: &'a Value) -> (Vec<&'a str>, Vec<&'a str>) {
        let schema = Schemas::open(&self.0).resolve(schema);
        let listed = members(&schema["properties"]).map(|(name, _)| name.as_str());
        let required = schema["required"].as_array().into_iter().flatten();
        (listed.collect(), required.map(text).collect())
    }

    /// The example of the file that a place takes.
    pub fn file(&self, place: &Place) -> &str {
        let content = &self.operation(place)["requestBody"]["content"];
        text(&content["multipart/form-data"]["example"]["file"])
    }

    /// A parameter's value, as a text of a request has it.
    pub fn read<'a>(&'a self, schema: &'a Value, text: &str) -> Value {
        Schemas::open(&self.0).read(schema, text)
    }

    /// Checks what a client sends.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_request<'a>(&'a self, schema: &'a Value, value: &Value) -> Result<(), String> {
        Schemas::open(&self.0).check(schema, value)
    }

    /// Checks an answer: its status, its headers, and its body. What the document
    /// does not say is wrong.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_reply(&self, place: &Place, reply: &Reply) -> Result<(), String> {
        let status = reply.status.as_u16();
        let responses = &self.operation(place)["responses"];
        let Some(response) = responses.get(status.to_string()) else {
            return Err(format!("answers {status}: {}", reply.text()));
        };
        let response = Schemas::closed(&self.0).resolve(response);
        self.check_headers(response, reply)?;
        self.check_body(response, reply)
    }

    fn check_headers(&self, response: &Value, reply: &Reply) -> Result<(), String> {
        let schemas = Schemas::closed(&self.0);
        let mut known = BTreeSet::new();
        for (name, header) in members(&response["headers"]) {
            let header = schemas.resolve(header);
            let name = name.to_lowercase();
            match reply.header(&name) {
                Some(sent) => schemas
                    .check(&header["schema"], &schemas.read(&header["schema"], sent))
                    .map_err(|problem| format!("{name}{problem}"))?,
                None if header["required"] == true => return Err(format!("{name} is missing")),
                None => {}
            }
            known.insert(name);
        }
        let other = reply.headers.keys().map(http::HeaderName::as_str);
        let mut other = other.filter(|name| !known.contains(*name) && !HTTP_HEADERS.contains(name));
        other.next().map_or(Ok(()), |name| {
            Err(format!("the header {name} is not in the document"))
        })
    }

    fn check_body(&self, response: &Value, reply: &Reply) -> Result<(), String> {
        let Some(content) = response.get("content") else {
            return match reply.body.len() {
                0 => Ok(()),
                _ => Err(format!("a body: {}", reply.text())),
            };
        };
        let kind = reply.header("content-type").unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default();
        let Some(media) = content.get(essence) else {
            return Err(format!("content-type {kind:?}"));
        };
        let value = if essence == "application/json" {
            serde_json::from_slice(&reply.body).map_err(|error| error.to_string())?
        } else {
            Value::String(reply.text())
        };
        Schemas::closed(&self.0).check(&media["schema"], &value)
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
