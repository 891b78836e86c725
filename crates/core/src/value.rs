//! Values that are known now or later, and the names of things.
//!
//! A [`Value`] serialises as itself, as `{"$ref": "network/vpc#vpc_id"}` or as `{"$text": [..]}`, so that edges
//! between resources and their resolution are one walk over JSON, and no resource needs code for them.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, fmt, marker::PhantomData};

/// The place of a resource in its stack: scopes and a name, joined by `/`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Address(pub String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl From<&str> for Address {
    fn from(s: &str) -> Self {
        Address(s.to_owned())
    }
}

/// Points at an output of another resource: `network/vpc#vpc_id`, or deeper: `cert#validation/0/name`.
pub struct Reference<T> {
    from: Address,
    path: String,
    of: PhantomData<fn() -> T>,
}

impl<T> Reference<T> {
    /// The resource that is pointed at.
    pub fn from(&self) -> &Address {
        &self.from
    }
}
// Written out because a derive would ask the same of `T`, which is only a marker.
impl<T> Clone for Reference<T> {
    fn clone(&self) -> Self {
        Reference { from: self.from.clone(), path: self.path.clone(), of: PhantomData }
    }
}
impl<T> PartialEq for Reference<T> {
    fn eq(&self, other: &Self) -> bool {
        self.from == other.from && self.path == other.path
    }
}
impl<T> fmt::Debug for Reference<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<T> fmt::Display for Reference<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.from, self.path)
    }
}

/// A spec field: known now, or known once another resource has been applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<T> {
    /// Known while the stack is built.
    Known(T),
    /// An output of another resource.
    Ref(Reference<T>),
    /// Text with references inside it; only built by [`text!`](crate::text).
    Text(Vec<Json>),
}

/// A value was asked for before the resource it comes from was applied.
#[derive(Debug, thiserror::Error)]
#[error("value of `{0}` is not known yet")]
pub struct Unresolved(pub String);

impl<T> Value<T> {
    /// A reference to the output `field` of the resource at `from`.
    pub fn reference(from: &Address, field: &str) -> Self {
        Value::Ref(Reference { from: from.clone(), path: field.to_owned(), of: PhantomData })
    }

    /// The value, if it is known.
    ///
    /// # Errors
    /// [`Unresolved`] while the resource it comes from has not been applied. The engine resolves a spec before it
    /// calls `create` or `update`, so a resource just writes `self.vpc_id.get()?`.
    pub fn get(&self) -> Result<&T, Unresolved> {
        match self {
            Value::Known(v) => Ok(v),
            Value::Ref(r) => Err(Unresolved(r.to_string())),
            Value::Text(parts) => {
                let mut from = BTreeSet::new();
                parts.iter().for_each(|p| references(p, &mut from));
                Err(Unresolved(from.iter().map(|a| a.0.as_str()).collect::<Vec<_>>().join(", ")))
            }
        }
    }

    /// The same value for a field of another type with the same JSON: an `Arn` where text is wanted, an optional
    /// output where one is wanted.
    pub fn cast<U>(&self) -> Value<U>
    where
        T: Serialize,
        U: DeserializeOwned,
    {
        match self {
            Value::Ref(r) => {
                Value::Ref(Reference { from: r.from.clone(), path: r.path.clone(), of: PhantomData })
            }
            Value::Known(v) => serde_json::to_value(v)
                .ok()
                .and_then(|j| serde_json::from_value(j).ok())
                .map_or_else(|| Value::Text(vec![]), Value::Known),
            Value::Text(parts) => Value::Text(parts.clone()),
        }
    }

    /// Points inside an output that is a list or an object: `validation.at("0/name")`.
    ///
    /// The path is not checked before it is resolved; a path that leads nowhere stays unresolved.
    pub fn at<U>(&self, path: &str) -> Value<U>
    where
        T: Serialize,
        U: DeserializeOwned,
    {
        match self {
            Value::Ref(r) => Value::Ref(Reference {
                from: r.from.clone(),
                path: format!("{}/{path}", r.path),
                of: PhantomData,
            }),
            Value::Known(v) => serde_json::to_value(v)
                .ok()
                .and_then(|j| j.pointer(&format!("/{path}")).cloned())
                .and_then(|j| serde_json::from_value(j).ok())
                .map_or_else(|| Value::Text(vec![]), Value::Known),
            Value::Text(parts) => Value::Text(parts.clone()),
        }
    }
}

/// Around a value that stands in text. Private to whoever uses them, so no text of anybody else has them.
const INLINE: [char; 2] = ['\u{f8f0}', '\u{f8f1}'];

impl<T: Serialize> Value<T> {
    /// The value as text for a struct of others that has no place for a [`Value`]. Once such a struct is JSON, [`lifted`]
    /// makes it a reference again.
    ///
    /// # Panics
    /// If the value does not serialise, which plain data always does.
    pub fn inline(&self) -> String {
        match serde_json::to_value(self).expect("a value is plain data") {
            Json::String(known) => known,
            json => format!("{}{json}{}", INLINE[0], INLINE[1]),
        }
    }
}

/// Makes references of what [`Value::inline`] wrote into texts.
pub fn lifted(json: &Json) -> Json {
    match json {
        Json::String(text) if text.contains(INLINE[0]) => in_parts(text),
        Json::Array(items) => Json::Array(items.iter().map(lifted).collect()),
        Json::Object(fields) => Json::Object(fields.iter().map(|(k, v)| (k.clone(), lifted(v))).collect()),
        other => other.clone(),
    }
}

/// One part is the value itself, several are a text of them.
fn in_parts(text: &str) -> Json {
    let mut parts = vec![];
    for piece in text.split(INLINE[0]) {
        let (value, rest) = piece.split_once(INLINE[1]).map_or((None, piece), |(v, rest)| (Some(v), rest));
        parts.extend(value.and_then(|value| serde_json::from_str(value).ok()));
        if !rest.is_empty() {
            parts.push(Json::String(rest.to_owned()));
        }
    }
    match parts.as_slice() {
        [one] => one.clone(),
        _ => serde_json::to_value(joined(parts)).unwrap_or(Json::Null),
    }
}

impl<T> From<T> for Value<T> {
    fn from(v: T) -> Self {
        Value::Known(v)
    }
}
impl From<&str> for Value<String> {
    fn from(v: &str) -> Self {
        Value::Known(v.to_owned())
    }
}
impl<T: Default> Default for Value<T> {
    fn default() -> Self {
        Value::Known(T::default())
    }
}

impl<T: Serialize> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Known(v) => v.serialize(s),
            Value::Ref(r) => json!({ "$ref": r.to_string() }).serialize(s),
            Value::Text(parts) => json!({ "$text": parts }).serialize(s),
        }
    }
}
impl<'de, T: DeserializeOwned> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(d)?;
        if let Some(r) = json.get("$ref").and_then(Json::as_str) {
            let (from, path) = r.split_once('#').ok_or_else(|| D::Error::custom("a `$ref` without `#`"))?;
            return Ok(Value::Ref(Reference {
                from: Address(from.into()),
                path: path.into(),
                of: PhantomData,
            }));
        }
        if let Some(Json::Array(parts)) = json.get("$text") {
            return Ok(Value::Text(parts.clone()));
        }
        T::deserialize(json).map(Value::Known).map_err(D::Error::custom)
    }
}

/// Text with values inside it: `text!("arn:aws:logs:", region, ":", &account.id)`. Parts are anything that
/// serialises to a string or to a reference.
#[macro_export]
macro_rules! text {
    ($($part:expr),+ $(,)?) => {
        $crate::value::joined(vec![$($crate::value::part(&$part)),+])
    };
}

/// One part of a [`text!`](crate::text).
#[doc(hidden)]
pub fn part<T: Serialize>(value: &T) -> Json {
    match serde_json::to_value(value) {
        Ok(Json::Number(n)) => Json::String(n.to_string()),
        Ok(json) => json,
        Err(_) => Json::Null,
    }
}

/// The parts as one value: known at once when every part is.
#[doc(hidden)]
pub fn joined(parts: Vec<Json>) -> Value<String> {
    match parts.iter().map(Json::as_str).collect::<Option<String>>() {
        Some(known) => Value::Known(known),
        None => Value::Text(parts),
    }
}

/// Replaces every `$ref` that `lookup` knows, and joins a `$text` once all its parts are known.
pub fn resolve(json: &Json, lookup: &dyn Fn(&str) -> Option<Json>) -> Json {
    match json {
        Json::Object(m) => {
            if let Some(r) = m.get("$ref").and_then(Json::as_str) {
                return lookup(r).unwrap_or_else(|| json.clone());
            }
            if let Some(Json::Array(parts)) = m.get("$text") {
                let parts: Vec<Json> = parts.iter().map(|p| resolve(p, lookup)).collect();
                let known = parts
                    .iter()
                    .map(|p| match p {
                        Json::String(s) => Some(s.clone()),
                        Json::Number(n) => Some(n.to_string()),
                        _ => None,
                    })
                    .collect::<Option<String>>();
                return known.map_or_else(|| json!({ "$text": parts }), Json::String);
            }
            if let Some(items) = members(json) {
                return set_of(items.iter().map(|v| resolve(v, lookup)).collect());
            }
            Json::Object(m.iter().map(|(k, v)| (k.clone(), resolve(v, lookup))).collect())
        }
        Json::Array(a) => Json::Array(a.iter().map(|v| resolve(v, lookup)).collect()),
        other => other.clone(),
    }
}

fn is_reference(json: &Json) -> bool {
    json.as_object().is_some_and(|m| m.contains_key("$ref") || m.contains_key("$text"))
}

/// Whether a reference is left anywhere inside `json`.
pub fn is_unknown(json: &Json) -> bool {
    match json {
        Json::Object(m) => is_reference(json) || m.values().any(is_unknown),
        Json::Array(a) => a.iter().any(is_unknown),
        _ => false,
    }
}

/// Every address that `json` refers to: the edges of the graph.
pub fn references(json: &Json, out: &mut BTreeSet<Address>) {
    match json {
        Json::Object(m) => {
            if let Some((from, _)) = m.get("$ref").and_then(Json::as_str).and_then(|r| r.split_once('#')) {
                out.insert(Address(from.into()));
            }
            m.values().for_each(|v| references(v, out));
        }
        Json::Array(a) => a.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}

/// Looks `reference` (`address#path`) up in the outputs of the resource that it names.
pub fn lookup_in<'a>(reference: &str, outputs: impl Fn(&Address) -> Option<&'a Json>) -> Option<Json> {
    let (from, path) = reference.split_once('#')?;
    let found = outputs(&Address(from.into()))?.pointer(&format!("/{path}"))?;
    (!found.is_null()).then(|| found.clone())
}

/// What a resource tells others once it exists. Written with [`outputs!`](crate::outputs).
pub trait Outputs: Serialize + DeserializeOwned + Clone + Default + Send + Sync + 'static {
    /// The same fields as references.
    type Refs: Clone;
    /// The references to the outputs of the resource at `of`.
    fn refs(of: &Address) -> Self::Refs;
}

/// Declares the outputs of a resource, and beside them a struct of typed references with the same fields.
///
/// ```
/// causeway_core::outputs! {
///     /// What a network tells others.
///     pub struct VpcOutputs => VpcRefs {
///         /// `vpc-...`
///         pub vpc_id: String,
///     }
/// }
/// ```
#[macro_export]
macro_rules! outputs {
    ($(#[$m:meta])* pub struct $name:ident => $refs:ident { $($(#[$fm:meta])* pub $f:ident : $t:ty),* $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub struct $name { $($(#[$fm])* pub $f: $t),* }
        #[doc = concat!("References to [`", stringify!($name), "`].")]
        #[derive(Clone, Debug)]
        pub struct $refs { $($(#[$fm])* pub $f: $crate::Value<$t>),* }
        impl $crate::Outputs for $name {
            type Refs = $refs;
            fn refs(of: &$crate::Address) -> $refs {
                // Kinds without outputs leave `of` unused.
                let _ = of;
                $refs { $($f: $crate::Value::reference(of, stringify!($f))),* }
            }
        }
    };
}

/// A list whose order means nothing; written sorted as `{"$set": [..]}`, so that two equal sets are equal text.
#[derive(Clone, Debug, PartialEq)]
pub struct Set<T>(pub Vec<Value<T>>);

impl<T> Set<T> {
    /// The members, once all are known.
    ///
    /// # Errors
    /// [`Unresolved`] as [`Value::get`].
    pub fn get(&self) -> Result<Vec<T>, Unresolved>
    where
        T: Clone,
    {
        self.0.iter().map(|v| v.get().cloned()).collect()
    }
}
impl<T> Default for Set<T> {
    fn default() -> Self {
        Set(vec![])
    }
}
impl<T, V: Into<Value<T>>> FromIterator<V> for Set<T> {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Self {
        Set(items.into_iter().map(Into::into).collect())
    }
}
impl<T: Serialize> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let items = self
            .0
            .iter()
            .map(serde_json::to_value)
            .collect::<Result<Vec<_>, _>>()
            .map_err(serde::ser::Error::custom)?;
        set_of(items).serialize(s)
    }
}
impl<'de, T: DeserializeOwned> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(d)?;
        let items = members(&json).cloned().map_or(json, Json::Array);
        serde_json::from_value(items).map(Set).map_err(D::Error::custom)
    }
}

/// The members of a [`Set`] as it is written.
pub fn members(json: &Json) -> Option<&Vec<Json>> {
    json.get("$set").and_then(Json::as_array)
}

/// A member that turned out to be a list stands for its members: all subnets of a network that is there already.
fn set_of(items: Vec<Json>) -> Json {
    let spread = |item| match item {
        Json::Array(inner) => inner,
        one => vec![one],
    };
    let mut items: Vec<Json> = items.into_iter().flat_map(spread).collect();
    items.sort_by_cached_key(Json::to_string);
    items.dedup();
    json!({ "$set": items })
}

/// The name of a thing in the cloud: chosen by the user, or made from a prefix and the incarnation.
///
/// A generated name lets a replacement stand beside what it replaces; [`Cx::name`](crate::Cx::name) says what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// This name and no other.
    Fixed(String),
    /// `prefix-<instance>`: another one for every incarnation.
    Generated {
        /// What it starts with.
        prefix: String,
    },
}

impl Name {
    /// A name that is made anew for every incarnation.
    pub fn generated(prefix: impl Into<String>) -> Self {
        Name::Generated { prefix: prefix.into() }
    }

    /// The name of the incarnation `instance`.
    pub fn of(&self, instance: &str) -> String {
        match self {
            Name::Fixed(name) => name.clone(),
            Name::Generated { prefix } => format!("{prefix}-{instance}"),
        }
    }

    /// `actual` as this name would be written if it is meant by it: what `read` puts into the live spec.
    pub fn live(&self, instance: &str, actual: &str) -> Self {
        if self.of(instance) == actual { self.clone() } else { Name::Fixed(actual.to_owned()) }
    }
}
impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Name::Fixed(name.to_owned())
    }
}
impl From<String> for Name {
    fn from(name: String) -> Self {
        Name::Fixed(name)
    }
}
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Name::Fixed(name) => name.serialize(s),
            Name::Generated { prefix } => json!({ "$generated": prefix }).serialize(s),
        }
    }
}
impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(d)?;
        if let Some(prefix) = json.get("$generated").and_then(Json::as_str) {
            return Ok(Name::Generated { prefix: prefix.to_owned() });
        }
        json.as_str().map(Name::from).ok_or_else(|| D::Error::custom("expected a name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_can_stand_in_the_text_of_a_struct_of_others() {
        let role: Value<String> = Value::reference(&"role".into(), "arn");
        let text =
            json!({"exactly": role.inline(), "within": format!("arn={}!", role.inline()), "none": "arn"});
        assert_eq!(
            lifted(&text),
            json!({"exactly": {"$ref": "role#arn"}, "within": {"$text": ["arn=", {"$ref": "role#arn"}, "!"]}, "none": "arn"})
        );
        assert_eq!(Value::Known("known".to_owned()).inline(), "known");
    }

    #[test]
    fn text_is_known_as_soon_as_its_parts_are() {
        assert_eq!(text!("a", "b"), Value::Known("ab".to_owned()));
        let later = Value::<String>::reference(&"vpc".into(), "id");
        let text = text!("arn:", later, "/*");
        assert!(text.get().is_err());
        let json = serde_json::to_value(&text).unwrap();
        let resolved = resolve(&json, &|r| (r == "vpc#id").then(|| json!("vpc-1")));
        assert_eq!(resolved, json!("arn:vpc-1/*"));
    }

    #[test]
    fn a_set_keeps_its_order_through_resolution() {
        let set: Set<String> =
            Set(vec![Value::reference(&"z".into(), "id"), Value::reference(&"a".into(), "id")]);
        let json = serde_json::to_value(&set).unwrap();
        let resolved = resolve(&json, &|r| Some(json!(if r == "a#id" { "subnet-9" } else { "subnet-1" })));
        assert_eq!(resolved, json!({ "$set": ["subnet-1", "subnet-9"] }));
    }

    #[test]
    fn a_reference_reaches_into_lists() {
        let refs = Value::<Vec<Json>>::reference(&"cert".into(), "validation");
        let name: Value<String> = refs.at("0/name");
        let outputs = json!({ "validation": [{ "name": "_x.example.com" }] });
        let Value::Ref(r) = &name else { panic!("still a reference") };
        assert_eq!(lookup_in(&r.to_string(), |_| Some(&outputs)), Some(json!("_x.example.com")));
    }

    #[test]
    fn generated_names_follow_the_incarnation() {
        let name = Name::generated("web");
        assert_eq!(name.of("abc"), "web-abc");
        assert_eq!(name.live("abc", "web-abc"), name);
        assert_eq!(name.live("abc", "web-old"), Name::Fixed("web-old".into()));
    }
}
