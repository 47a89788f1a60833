//! Ids, kinds and field names: ours and the document's, and how they stay apart.

use flow_history_flow::{ComponentId, ID_BYTES_MAX, Map, NAME_BYTES_MAX, Name, ROOT_ID, Value, WIRE_KIND};

/// Kind of an element that is kept whole.
pub(crate) const VERBATIM_KIND: &str = "$verbatim";
/// Field that holds the whole of such an element as a value.
pub(crate) const ELEMENT: &str = "$element";
/// Field that holds it as text.
pub(crate) const JSON: &str = "$json";
/// Field that holds the number of output ports.
pub(crate) const PORTS: &str = "$wires";
/// Field that holds where `id`, `type`, `z` and `wires` stand, where they deviate.
pub(crate) const LAYOUT: &str = "$layout";

/// What our own names begin with.
const OURS: char = '$';
/// What derived ids begin with.
const DERIVED: char = '~';

/// Whether an id of the document can be that of a component.
pub(crate) fn is_usable_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.starts_with(DERIVED) && id != ROOT_ID
}

/// The kind of elements of a type; `None` where it would be too long.
pub(crate) fn kind_of(element_type: &str) -> Option<Name> {
    let ambiguous = element_type == WIRE_KIND || element_type.starts_with(OURS);
    let kind = if ambiguous { format!("{OURS}{element_type}") } else { element_type.to_owned() };
    (kind.len() <= NAME_BYTES_MAX).then(|| kind.into())
}

/// The type of elements of a kind.
pub(crate) fn type_of(kind: &str) -> &str {
    kind.strip_prefix(OURS).unwrap_or(kind)
}

/// The field for a property; `None` where its name would be too long.
pub(crate) fn field_of(property: &str) -> Option<Name> {
    let field = if property.starts_with(OURS) { format!("{OURS}{property}") } else { property.to_owned() };
    (field.len() <= NAME_BYTES_MAX).then(|| field.into())
}

/// The property that a field stands for; `None` where no document shows it.
pub(crate) fn property_of(field: &str) -> Option<&str> {
    match field.strip_prefix(OURS) {
        None => Some(field),
        Some(property) => property.starts_with(OURS).then_some(property),
    }
}

/// Whether a field is kept out of documents, and is none of those that an import works out itself.
pub(crate) fn is_hidden(field: &str, value: &Value) -> bool {
    let worked_out = [ELEMENT, JSON, PORTS, LAYOUT].contains(&field);
    !worked_out && (property_of(field).is_none() || matches!(value, Value::Secret(_)))
}

/// Whether these are the fields of an element that is kept whole.
pub(crate) fn is_verbatim(kind: &str, fields: &Map) -> bool {
    kind == VERBATIM_KIND && (fields.get(ELEMENT).is_some() || fields.get(JSON).is_some())
}

/// The id of the `count`-th wire from a port to a target.
pub(crate) fn wire_id(source: &str, port: usize, target: &str, count: usize) -> ComponentId {
    let readable = format!("~wire/{}/{port}/{}", escaped(source), escaped(target));
    let id = match count {
        0 | 1 => readable,
        _ => format!("{readable}#{count}"),
    };
    if id.len() <= ID_BYTES_MAX { id.into() } else { format!("~wire/{}", digest(id.as_bytes())).into() }
}

/// The id of the `count`-th element with the same id of its own.
pub(crate) fn repeated_id(id: &str, count: usize) -> ComponentId {
    let readable = format!("~repeat/{id}/{count}");
    if readable.len() <= ID_BYTES_MAX {
        return readable.into();
    }
    format!("~repeat-of/{}/{count}", digest(id.as_bytes())).into()
}

/// The id of an element whose own id cannot be that of a component.
pub(crate) fn stand_in_id(id: &[u8]) -> String {
    format!("~id/{}", digest(id))
}

/// The id of an element that has none: the same for the same content, wherever it stands.
pub(crate) fn content_id(canonical: &str) -> String {
    format!("~element/{}", digest(canonical.as_bytes()))
}

/// Without the characters that separate the parts of a wire's id.
fn escaped(id: &str) -> String {
    id.replace('%', "%25").replace('/', "%2F").replace('#', "%23")
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::{field_of, is_usable_id, kind_of, property_of, type_of, wire_id};

    #[test]
    fn names_of_the_document_never_meet_ours() {
        for name in ["x", "wire", "$wires", "$", "$$", "$verbatim", "", "~"] {
            assert_eq!(type_of(&kind_of(name).unwrap()), name);
            assert_eq!(property_of(&field_of(name).unwrap()), Some(name));
            assert_ne!(kind_of(name).unwrap(), "wire");
            assert_ne!(kind_of(name).unwrap(), "$verbatim");
        }
        assert_eq!(property_of("$layout"), None);
        assert_eq!(kind_of(&"x".repeat(70_000)), None);
        assert!(
            !is_usable_id("$root") && !is_usable_id("~x") && !is_usable_id("") && is_usable_id("__proto__")
        );
    }

    #[test]
    fn wires_between_odd_ids_have_ids_of_their_own() {
        assert_eq!(wire_id("a", 0, "b", 1), "~wire/a/0/b");
        assert_eq!(wire_id("a", 0, "b", 2), "~wire/a/0/b#2");
        assert_ne!(wire_id("a/0/b", 1, "c", 1), wire_id("a", 0, "b/1/c", 1));
        assert_ne!(wire_id("a", 0, "b#2", 1), wire_id("a", 0, "b", 2));
        let long = "x".repeat(200);
        assert!(wire_id(&long, 0, &long, 1).len() <= 255);
        assert_ne!(wire_id(&long, 0, &long, 1), wire_id(&long, 1, &long, 1));
    }
}
