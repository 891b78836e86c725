//! The shape of the file against the JSON Schema: every unknown key, wrong type and missing key at once, where serde
//! would stop at the first.

use crate::Mistake;
use serde_json::{Map, Value as Json};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Everything about the shape of `table` that `schema` does not allow. What it lets pass, serde may still refuse.
pub(crate) fn check(table: &Spanned<DeTable<'_>>, schema: &Json) -> Vec<Mistake> {
    let mut checker = Checker { root: schema, mistakes: vec![] };
    checker.table(table.get_ref(), schema, "", 0..0);
    checker.mistakes
}

struct Checker<'s> {
    root: &'s Json,
    mistakes: Vec<Mistake>,
}

impl<'s> Checker<'s> {
    /// Follows references, and sees through "or nothing".
    fn resolved(&self, schema: &'s Json) -> &'s Json {
        let variants = schema.get("anyOf").and_then(Json::as_array);
        if let Some(one) = variants.and_then(|all| all.iter().find(|s| s.get("type") != Some(&"null".into())))
        {
            return self.resolved(one);
        }
        match schema
            .get("$ref")
            .and_then(Json::as_str)
            .and_then(|r| self.root.pointer(r.trim_start_matches('#')))
        {
            Some(target) => self.resolved(target),
            None => schema,
        }
    }

    fn table(&mut self, table: &DeTable<'_>, schema: &'s Json, path: &str, heading: Range<usize>) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties").filter(|s| s.is_object());
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            match known.and_then(|k| k.get(name)).or(others) {
                Some(property) => {
                    let before = self.mistakes.len();
                    self.value(name, value, property, &inner, key.span());
                    // Names that people choose have no description of their own.
                    let kind = property.get("type").map(types).unwrap_or_default();
                    for mistake in self.mistakes.iter_mut().skip(before).filter(|m| m.help.is_none()) {
                        let wanted = kind.first().map_or("of the same kind", |kind| described(kind));
                        mistake.help = Some(format!("what stands{} is {wanted}", inside(path)));
                    }
                }
                None => {
                    let known: Vec<&str> = known.unwrap_or(&none).keys().map(String::as_str).collect();
                    self.mistakes.push(unknown(name, &known, path, key.span()));
                }
            }
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        for name in required.filter_map(Json::as_str).filter(|name| !table.contains_key(*name)) {
            let property = known.and_then(|k| k.get(name));
            let is_table = property.is_some_and(|p| self.resolved(p).get("properties").is_some());
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let what = if is_table { format!("[{full}]") } else { format!("`{name}`") };
            let message = format!("{what} is missing{}", if is_table { String::new() } else { inside(path) });
            let label = if heading.is_empty() { "in this file" } else { "in here" };
            let mistake = Mistake::new(message, label, heading.clone());
            self.mistakes.push(explained(mistake, name, property));
        }
    }

    fn value(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        property: &'s Json,
        path: &str,
        key: Range<usize>,
    ) {
        let schema = self.resolved(property);
        if let Some(allowed) = choices(schema) {
            return self.choice(name, value, property, &allowed);
        }
        let expected = schema.get("type").map(types).unwrap_or_default();
        let fits = expected.is_empty()
            || expected.iter().any(|t| {
                matches!(
                    (*t, value.get_ref()),
                    ("string", DeValue::String(_))
                        | ("integer", DeValue::Integer(_))
                        | ("number", DeValue::Integer(_) | DeValue::Float(_))
                        | ("boolean", DeValue::Boolean(_))
                        | ("array", DeValue::Array(_))
                        | ("object", DeValue::Table(_))
                )
            });
        if !fits {
            let wanted = expected.iter().find(|t| **t != "null").map_or("something else", |t| described(t));
            let found = found(value.get_ref());
            let message = format!("`{name}` has to be {wanted}, and this is {found}");
            let span = if matches!(value.get_ref(), DeValue::Table(_)) { key } else { value.span() };
            let mistake = Mistake::new(message, format!("not {wanted}"), span);
            self.mistakes.push(explained(mistake, name, Some(property)));
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, schema, path, key),
            DeValue::Array(items) => {
                let Some(schema) = schema.get("items") else { return };
                let before = self.mistakes.len();
                for item in items.iter() {
                    self.value(name, item, schema, path, item.span());
                }
                // The schema explains the list, not its items.
                for mistake in self.mistakes.iter_mut().skip(before).filter(|m| m.help.is_none()) {
                    mistake.help = explanation(name, Some(property));
                }
            }
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok();
                let (least, most) = bounds(schema);
                if number.is_none_or(|n| n < least || n > most) {
                    let message = format!("`{name}` has to be between {least} and {most}");
                    let mistake = Mistake::new(message, "out of range", value.span());
                    self.mistakes.push(explained(mistake, name, Some(property)));
                }
            }
            _ => {}
        }
    }

    fn choice(&mut self, name: &str, value: &Spanned<DeValue<'_>>, property: &Json, allowed: &[&str]) {
        let written = value.get_ref().as_str();
        if written.is_some_and(|w| allowed.contains(&w)) {
            return;
        }
        let mut list = allowed.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>();
        let last = list.pop().unwrap_or_default();
        let list = if list.is_empty() { last } else { format!("{} or {last}", list.join(", ")) };
        let mistake = Mistake::new(format!("`{name}` has to be {list}"), "none of these", value.span());
        let near = written.and_then(|w| nearest(w, allowed));
        self.mistakes.push(match near {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => explained(mistake, name, Some(property)),
        });
    }
}

fn unknown(name: &str, known: &[&str], path: &str, span: Range<usize>) -> Mistake {
    let mistake = Mistake::new(format!("`{name}` is not known{}", inside(path)), "unknown", span);
    match nearest(name, known) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help(format!("known here: {}", known.join(", "))),
    }
}

fn inside(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in [{path}]") }
}

/// The candidate that somebody may have meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let score = |k: &&str| strsim::jaro_winkler(&name.to_lowercase(), &k.to_lowercase());
    known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b))).filter(|k| score(k) > 0.8)
}

/// With what the schema says about the key.
fn explained(mistake: Mistake, name: &str, property: Option<&Json>) -> Mistake {
    match explanation(name, property) {
        Some(text) => mistake.help(text),
        None => mistake,
    }
}

fn explanation(name: &str, property: Option<&Json>) -> Option<String> {
    let text = property?.get("description")?.as_str()?;
    Some(format!("`{name}`: {}", text.replace('\n', " ")))
}

fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(all) = schema.get("enum").and_then(Json::as_array) {
        return Some(all.iter().filter_map(Json::as_str).collect());
    }
    let all = schema.get("oneOf").and_then(Json::as_array)?;
    let consts: Vec<&str> = all.iter().filter_map(|s| s.get("const")).filter_map(Json::as_str).collect();
    (consts.len() == all.len()).then_some(consts)
}

fn types(of: &Json) -> Vec<&str> {
    match of {
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn described(kind: &str) -> &'static str {
    match kind {
        "string" => "text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "something else",
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Least and most; what the type can hold where the schema does not say.
fn bounds(schema: &Json) -> (i64, i64) {
    let most = match schema.get("format").and_then(Json::as_str) {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        Some("int32") => i32::MAX.into(),
        _ => i64::MAX,
    };
    let bound = |key, otherwise| schema.get(key).and_then(Json::as_i64).unwrap_or(otherwise);
    (bound("minimum", i64::MIN), bound("maximum", most))
}
