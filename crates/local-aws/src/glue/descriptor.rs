//! Storage descriptors: Glue's description of the files of a table or a partition. Location, columns and format vary here. The
//! parameters of a table are kept, and have no effect.

use local_athena::catalog::{Format, TableColumn};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::details::StorageDetails;
use super::{invalid, require_empty};
use crate::aws_json::AwsError;

/// The SerDe parameter that Hive writes for every table.
const SERIALIZATION_FORMAT: (&str, &str) = ("serialization.format", "1");

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StorageDescriptor {
    columns: Option<Vec<Column>>,
    location: Option<String>,
    input_format: Option<String>,
    output_format: Option<String>,
    serde_info: Option<SerdeInfo>,
    compressed: Option<bool>,
    number_of_buckets: Option<i64>,
    stored_as_sub_directories: Option<bool>,
    additional_locations: Option<Vec<Value>>,
    bucket_columns: Option<Vec<Value>>,
    sort_columns: Option<Vec<Value>>,
    skewed_info: Option<SkewedInfo>,
    parameters: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SerdeInfo {
    name: Option<String>,
    serialization_library: Option<String>,
    parameters: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SkewedInfo {
    skewed_column_names: Option<Vec<Value>>,
    skewed_column_values: Option<Vec<Value>>,
    skewed_column_value_location_maps: Option<Map<String, Value>>,
}

/// A column or a partition key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Column {
    name: String,
    r#type: Option<String>,
    comment: Option<String>,
    parameters: Option<Map<String, Value>>,
}

/// The part of a descriptor that the catalog stores.
pub(super) struct TableFiles {
    pub(super) location: String,
    pub(super) format: Format,
    pub(super) columns: Vec<TableColumn>,
    pub(super) details: StorageDetails,
}

impl StorageDescriptor {
    /// Returns what the catalog stores.
    ///
    /// # Errors
    /// `InvalidInputException` if the rest of the descriptor has other values than those of this endpoint.
    pub(super) fn read(self) -> Result<TableFiles, AwsError> {
        let format = self.format()?;
        self.check()?;
        let location = self.location.ok_or_else(|| invalid("StorageDescriptor.Location: give s3://bucket/folder/"))?;
        let details = StorageDetails {
            compressed: self.compressed.unwrap_or_default(),
            parameters: texts("StorageDescriptor.Parameters", self.parameters.unwrap_or_default())?,
            serde_name: self.serde_info.and_then(|serde| serde.name),
        };
        Ok(TableFiles { location, format, columns: columns(self.columns.unwrap_or_default())?, details })
    }

    fn format(&self) -> Result<Format, AwsError> {
        let serde = self.serde_info.as_ref().and_then(|serde| serde.serialization_library.as_deref());
        let found = [serde, self.input_format.as_deref(), self.output_format.as_deref()];
        let classes = |format: Format| [format.serde(), format.input_format(), format.output_format()].map(Some);
        Format::ALL.into_iter().find(|format| classes(*format) == found).ok_or_else(|| {
            invalid(format!(
                "StorageDescriptor: SerdeInfo.SerializationLibrary, InputFormat and OutputFormat are {found:?}; this \
                 endpoint reads Parquet, by {:?}, and JSON, by {:?}",
                classes(Format::Parquet),
                classes(Format::Json)
            ))
        })
    }

    fn check(&self) -> Result<(), AwsError> {
        let serde = self.serde_info.as_ref();
        let parameters = serde.and_then(|serde| serde.parameters.as_ref()).into_iter().flatten();
        for (name, value) in parameters {
            if (name.as_str(), value.as_str()) != (SERIALIZATION_FORMAT.0, Some(SERIALIZATION_FORMAT.1)) {
                return Err(invalid(format!("SerdeInfo.Parameters: {name} has no meaning here")));
            }
        }
        let skewed = self.skewed_info.as_ref();
        let is_skewed = skewed.is_some_and(|skewed| {
            !is_empty(skewed.skewed_column_names.as_ref())
                || !is_empty(skewed.skewed_column_values.as_ref())
                || !skewed.skewed_column_value_location_maps.as_ref().is_none_or(Map::is_empty)
        });
        let is_divided = is_skewed
            || self.stored_as_sub_directories == Some(true)
            || self.number_of_buckets.is_some_and(|number| number > 0)
            || !is_empty(self.bucket_columns.as_ref())
            || !is_empty(self.sort_columns.as_ref())
            || !is_empty(self.additional_locations.as_ref());
        match is_divided {
            true => Err(invalid(
                "StorageDescriptor: the files of a table lie in one folder, neither in buckets nor sorted, skewed or in \
                 other places",
            )),
            false => Ok(()),
        }
    }
}

/// Checks that all parameters are texts.
pub(super) fn texts(member: &str, parameters: Map<String, Value>) -> Result<Map<String, Value>, AwsError> {
    match parameters.iter().find(|(_, value)| !value.is_string()) {
        None => Ok(parameters),
        Some((name, _)) => Err(invalid(format!("{member}: {name} is no text"))),
    }
}

fn is_empty(list: Option<&Vec<Value>>) -> bool {
    list.is_none_or(Vec::is_empty)
}

/// Converts the columns of an input.
pub(super) fn columns(columns: Vec<Column>) -> Result<Vec<TableColumn>, AwsError> {
    let read = columns.into_iter().map(|column| {
        require_empty(&format!("Parameters of the column {}", column.name), column.parameters.as_ref())?;
        let ty = column.r#type.unwrap_or_default();
        TableColumn::new(&column.name, &ty, column.comment).map_err(invalid)
    });
    read.collect()
}

/// Returns the descriptor of a folder.
pub(super) fn descriptor(
    location: &str,
    format: Format,
    columns: Option<&[TableColumn]>,
    details: &StorageDetails,
) -> Value {
    let mut descriptor = json!({
        "Location": location,
        "InputFormat": format.input_format(),
        "OutputFormat": format.output_format(),
        "Compressed": details.compressed,
        "NumberOfBuckets": -1,
        "SerdeInfo": {
            "SerializationLibrary": format.serde(),
            "Parameters": { SERIALIZATION_FORMAT.0: SERIALIZATION_FORMAT.1 },
        },
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": details.parameters,
        "SkewedInfo": {
            "SkewedColumnNames": [], "SkewedColumnValues": [], "SkewedColumnValueLocationMaps": {},
        },
        "StoredAsSubDirectories": false,
    });
    if let Some(name) = &details.serde_name {
        descriptor["SerdeInfo"]["Name"] = name.as_str().into();
    }
    if let Some(columns) = columns {
        descriptor["Columns"] = columns.iter().map(column).collect();
    }
    descriptor
}

/// Returns a column as Glue lists it.
pub(super) fn column(column: &TableColumn) -> Value {
    let mut described = json!({ "Name": column.name, "Type": column.type_name() });
    if let Some(comment) = &column.comment {
        described["Comment"] = comment.clone().into();
    }
    described
}
