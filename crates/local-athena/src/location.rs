//! Locations, `s3://bucket/prefix/`, and the objects below them.

use crate::error::{ErrorKind, QueryError};
use crate::objects::{ObjectFile, ObjectFiles};

/// Lists every object of a location.
pub(crate) fn list(objects: &dyn ObjectFiles, location: &str) -> Result<Vec<ObjectFile>, QueryError> {
    objects.list(location).map_err(|error| {
        QueryError::new(ErrorKind::CannotOpenSplit, format_args!("{location} cannot be listed: {error}"))
    })
}

/// Lists the objects of a location that hold rows: those that are neither empty nor [hidden](is_hidden).
pub(crate) fn list_visible(objects: &dyn ObjectFiles, location: &str) -> Result<Vec<ObjectFile>, QueryError> {
    let listed = list(objects, location)?.into_iter();
    Ok(listed.filter(|object| object.size > 0 && !is_hidden(location, object)).collect())
}

/// Returns whether a part of the object's path below the location begins with `_` or `.`. Hive and Athena skip such
/// files.
pub(crate) fn is_hidden(location: &str, object: &ObjectFile) -> bool {
    let path = object.key.get(key_of(location).len()..).unwrap_or_default();
    path.split('/').any(|part| part.starts_with('_') || part.starts_with('.'))
}

/// Returns the URI of an object in the location's bucket: `s3://bucket/a/b/` and the key `a/b/c` give
/// `s3://bucket/a/b/c`.
pub(crate) fn uri(location: &str, key: &str) -> String {
    let bucket = location.len() - key_of(location).len();
    format!("{}{key}", &location[..bucket])
}

/// Returns the key of an object URI, or the key prefix of a location: the part after `s3://bucket/`.
pub(crate) fn key_of(location: &str) -> &str {
    let rest = location.strip_prefix("s3://").unwrap_or(location);
    rest.split_once('/').map_or("", |(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_and_keys() {
        assert_eq!(key_of("s3://lake/quotes/day=1/"), "quotes/day=1/");
        assert_eq!(key_of("s3://lake/"), "");
        assert_eq!(uri("s3://lake/quotes/", "quotes/a.parquet"), "s3://lake/quotes/a.parquet");
        assert_eq!(uri("s3://lake/", "a.parquet"), "s3://lake/a.parquet");
    }
}
