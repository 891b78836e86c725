//! The little XML that AWS answers need: a tree that keeps what it does not understand.

use super::refusal::escape;

/// An element with its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    /// As written, with the space in front.
    attributes: String,
    pub(crate) children: Vec<Node>,
}

/// A child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    /// Still escaped.
    Text(String),
}

impl Element {
    pub(crate) fn new(name: &str) -> Element {
        Element { name: name.to_owned(), attributes: String::new(), children: Vec::new() }
    }

    /// An element with a text.
    pub(crate) fn text_of(name: &str, text: &str) -> Element {
        let mut element = Element::new(name);
        element.set_text(text);
        element
    }

    /// Adds a child element; for building.
    pub(crate) fn with(mut self, child: Element) -> Element {
        self.children.push(Node::Element(child));
        self
    }

    /// Adds a child element with a text; for building.
    pub(crate) fn with_text(self, name: &str, text: &str) -> Element {
        self.with(Element::text_of(name, text))
    }

    /// Reads a document. `None` if it is not well-formed.
    pub(crate) fn parse(document: &str) -> Option<Element> {
        let mut rest = document.trim_start_matches('\u{feff}').trim_start();
        while rest.starts_with("<?") || rest.starts_with("<!--") {
            rest = rest[rest.find('>')? + 1..].trim_start();
        }
        let mut open: Vec<Element> = Vec::new();
        loop {
            let tag = rest.find('<')?;
            let (text, after) = rest.split_at(tag);
            if let Some(parent) = open.last_mut()
                && !text.trim().is_empty()
            {
                parent.children.push(Node::Text(text.to_owned()));
            }
            if let Some(comment) = after.strip_prefix("<!--") {
                rest = &comment[comment.find("-->")? + 3..];
                continue;
            }
            if let Some(data) = after.strip_prefix("<![CDATA[") {
                let end = data.find("]]>")?;
                open.last_mut()?.children.push(Node::Text(escape(&data[..end])));
                rest = &data[end + 3..];
                continue;
            }
            let end = after.find('>')?;
            let (inside, next) = (&after[1..end], &after[end + 1..]);
            rest = next;
            let closed = if let Some(name) = inside.strip_prefix('/') {
                let element = open.pop()?;
                if element.name != name.trim() {
                    return None;
                }
                element
            } else {
                let (inside, empty) = match inside.strip_suffix('/') {
                    Some(inside) => (inside.trim_end(), true),
                    None => (inside, false),
                };
                let name_end = inside.find(char::is_whitespace).unwrap_or(inside.len());
                let element = Element {
                    name: inside[..name_end].to_owned(),
                    attributes: inside[name_end..].trim_end().to_owned(),
                    children: Vec::new(),
                };
                if !empty {
                    open.push(element);
                    continue;
                }
                element
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(Node::Element(closed)),
                None => return Some(closed),
            }
        }
    }

    /// The document, with its declaration.
    pub(crate) fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push_str(&format!("<{}{}>", self.name, self.attributes));
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(out),
                Node::Text(text) => out.push_str(text),
            }
        }
        out.push_str(&format!("</{}>", self.name));
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    pub(crate) fn elements_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The child element of that name; the first if there are several.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| element.name == name)
    }

    pub(crate) fn child_mut(&mut self, name: &str) -> Option<&mut Element> {
        self.elements_mut().find(|element| element.name == name)
    }

    /// The text of this element, without escapes.
    pub(crate) fn text(&self) -> String {
        let raw: String = self
            .children
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect();
        raw.trim()
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&apos;", "'")
            .replace("&amp;", "&")
    }

    pub(crate) fn set_text(&mut self, text: &str) {
        self.children = vec![Node::Text(escape(text))];
    }

    /// The text at a path of names, like `State/Code`. An element that is there but empty has the text "".
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut at = self;
        for name in path.split('/') {
            at = at.child(name)?;
        }
        Some(at.text())
    }

    /// Sets the text at a path of names; makes the elements that are missing.
    pub(crate) fn set(&mut self, path: &str, text: &str) {
        let mut at = self;
        for name in path.split('/') {
            if at.child(name).is_none() {
                at.children.push(Node::Element(Element::new(name)));
            }
            let Some(next) = at.child_mut(name) else { return };
            at = next;
        }
        at.set_text(text);
    }

    /// Calls `visit` for this element and everything below it.
    pub(crate) fn walk_mut(&mut self, visit: &mut impl FnMut(&mut Element)) {
        visit(self);
        for child in self.elements_mut() {
            child.walk_mut(visit);
        }
    }

    /// Every element below this one, and itself, of that name.
    pub(crate) fn all<'a>(&'a self, name: &str) -> Vec<&'a Element> {
        let mut found = Vec::new();
        let mut next = vec![self];
        while let Some(element) = next.pop() {
            if element.name == name {
                found.push(element);
            }
            let mut children: Vec<&Element> = element.elements().collect();
            children.reverse();
            next.extend(children);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "<?xml version=\"1.0\"?>\n<!-- hello --><R xmlns=\"http://x/\">\n <a><b>1 &lt; 2</b><c/></a>\n <a><b>3</b></a><e></e></R>";

    #[test]
    fn a_document_survives_reading_and_writing() {
        let read = Element::parse(DOCUMENT).unwrap();
        let again = Element::parse(&read.document()).unwrap();
        assert_eq!(read, again);
        assert!(again.document().contains("<R xmlns=\"http://x/\"><a><b>1 &lt; 2</b><c></c></a>"));
    }

    #[test]
    fn paths_read_and_write() {
        let mut read = Element::parse(DOCUMENT).unwrap();
        assert_eq!(read.get("a/b").unwrap(), "1 < 2");
        assert_eq!(read.get("e").unwrap(), "");
        assert_eq!(read.get("a/x"), None);
        assert_eq!(read.all("b").len(), 2);
        read.set("a/d/e", "x & y");
        assert_eq!(read.get("a/d/e").unwrap(), "x & y");
        read.walk_mut(&mut |element| {
            if element.name == "b" {
                element.set_text("0");
            }
        });
        assert_eq!(read.all("b").iter().map(|b| b.text()).collect::<Vec<_>>(), ["0", "0"]);
    }

    #[test]
    fn what_is_broken_is_none() {
        for broken in ["", "<a>", "<a></b>", "plain", "<a><b></a></b>"] {
            assert_eq!(Element::parse(broken), None, "{broken}");
        }
    }
}
