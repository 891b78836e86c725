//! The JavaScript of functions, one run in an engine of its own.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-20.html>

use std::time::{Duration, Instant, SystemTime};

use rquickjs::loader::{BuiltinLoader, BuiltinResolver};
use rquickjs::promise::MaybePromise;
use rquickjs::{CatchResultExt, Context, Ctx, Function, Module, Object, Runtime};

use crate::gateway::Seen;

/// How long a run may take. CloudFront bounds its processor time, at about a millisecond.
const TIME: Duration = Duration::from_secs(5);
/// The memory of the engine, in bytes. A function has 2 MB of it on CloudFront.
const MEMORY: usize = 16 << 20;
const STACK: usize = 512 << 10;

/// The module that functions import.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-custom-methods.html>
const CLOUDFRONT: &str = include_str!("cloudfront.js");

/// Calls the handler of `source` with an event and gives what it returned, both as JSON.
///
/// # Errors
///
/// What the function failed with, in words.
pub(super) fn run(source: &str, event: &str, store: Option<&(String, Seen)>) -> Result<String, String> {
    let engine = |error: rquickjs::Error| format!("the engine: {error}");
    let runtime = Runtime::new().map_err(engine)?;
    runtime.set_memory_limit(MEMORY);
    runtime.set_max_stack_size(STACK);
    let end = Instant::now() + TIME;
    runtime.set_interrupt_handler(Some(Box::new(move || Instant::now() > end)));
    runtime.set_loader(
        BuiltinResolver::default().with_module("cloudfront"),
        BuiltinLoader::default().with_module("cloudfront", CLOUDFRONT),
    );
    let context = Context::full(&runtime).map_err(engine)?;
    context.with(|ctx| called(&ctx, source, event, store).catch(&ctx).map_err(|error| error.to_string()))
}

fn called(
    ctx: &Ctx<'_>,
    source: &str,
    event: &str,
    store: Option<&(String, Seen)>,
) -> rquickjs::Result<String> {
    let native = Object::new(ctx.clone())?;
    native
        .set("log", Function::new(ctx.clone(), |line: String| tracing::debug!(line, "a function says"))?)?;
    if let Some((id, seen)) = store {
        native.set("id", id.as_str())?;
        native.set("count", seen.items.len())?;
        native.set("created", shown(seen.created))?;
        native.set("modified", shown(seen.modified))?;
        let items = seen.items.clone();
        native.set("get", Function::new(ctx.clone(), move |key: String| items.get(&key).cloned())?)?;
    }
    ctx.globals().set("causeway", native)?;
    // Makes the console, and takes away what no function may see.
    Module::import(ctx, "cloudfront")?.finish::<()>()?;
    let code = format!("{source}\n;export {{ handler as causewayHandler }};");
    let (module, loaded) = Module::declare(ctx.clone(), "function", code)?.eval()?;
    loaded.finish::<()>()?;
    let handler: Function = module.get("causewayHandler")?;
    let returned: MaybePromise = handler.call((ctx.json_parse(event)?,))?;
    let value: rquickjs::Value = returned.finish()?;
    let text = ctx.json_stringify(value)?;
    text.map_or_else(|| Ok("null".to_owned()), |text| text.to_string())
}

fn shown(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn store() -> (String, Seen) {
        let items = [("a", "1"), ("j", r#"{"b":2}"#)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let now = SystemTime::now();
        ("store-1".to_owned(), Seen { items: Arc::new(items.into()), created: now, modified: now })
    }

    #[test]
    fn a_handler_is_called_with_the_event() {
        let code = "function handler(event) { console.log('hello', {}); return { got: event.a + 1 }; }";
        assert_eq!(run(code, r#"{"a":1}"#, None).unwrap(), r#"{"got":2}"#);
    }

    #[test]
    fn a_store_has_its_documented_methods() {
        let code = "import cf from 'cloudfront';
            const store = cf.kvs();
            async function handler(event) {
                let missing;
                try { await store.get('no'); } catch (e) { missing = 'thrown'; }
                const meta = await store.meta();
                return [await store.get('a'), (await store.get('j', { format: 'json' })).b, await store.exists('a'),
                    await store.exists('no'), await store.count(), meta.keyCount, missing,
                    await cf.kvs('store-1').get('a'), typeof globalThis.causeway];
            }";
        let answer = run(code, "{}", Some(&store())).unwrap();
        assert_eq!(answer, r#"["1",2,true,false,2,2,"thrown","1","undefined"]"#);
    }

    #[test]
    fn what_fails_says_why() {
        for (code, why) in [
            ("function handler() { throw new Error('no luck'); }", "no luck"),
            ("async function handler() { null.x; }", "null"),
            ("function handler( {", "invalid property name"),
            ("function other() {}", "handler"),
            ("function handler() { while (true) {} }", "interrupted"),
            ("function handler() { let a = []; while (true) a.push(new Array(1000).fill(1)); }", "memory"),
            ("import cf from 'cloudfront'; function handler() { return cf.kvs(); }", "not associated"),
            ("import fs from 'fs'; function handler() { return fs; }", "fs"),
        ] {
            let error = run(code, "{}", None).unwrap_err();
            assert!(error.contains(why), "{code}: {error}");
        }
    }
}
