//! Glue: what awswrangler, dbt and Spark call first, over the catalog that Athena reads.

use serde_json::{Value, json};

use crate::World;
use crate::protocols;

fn call(world: &World, operation: &str, input: &Value) -> (u16, Value) {
    protocols::call(world, &format!("AWSGlue.{operation}"), input)
}

fn ok(world: &World, operation: &str, input: &Value) -> Value {
    let (status, output) = call(world, operation, input);
    assert_eq!(status, 200, "{operation} of {input}: {output}");
    output
}

fn refused(world: &World, operation: &str, input: &Value, code: &str) -> String {
    let (status, output) = call(world, operation, input);
    assert_eq!((status, output["__type"].as_str()), (400, Some(code)), "{operation} of {input}: {output}");
    output["Message"].as_str().unwrap().to_owned()
}

/// A table as awswrangler describes one that `to_parquet` has written.
fn input(name: &str, columns: &[(&str, &str)]) -> Value {
    let column = |(name, kind): &(&str, &str)| json!({ "Name": name, "Type": kind });
    let written = json!({ "classification": "parquet", "compressionType": "snappy", "typeOfData": "file" });
    let mut of_storage = written.clone();
    of_storage["CrawlerSchemaDeserializerVersion"] = "1.0".into();
    of_storage["CrawlerSchemaSerializerVersion"] = "1.0".into();
    json!({
        "Name": name,
        "PartitionKeys": [{ "Name": "year", "Type": "bigint" }],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": written,
        "StorageDescriptor": {
            "Columns": columns.iter().map(column).collect::<Vec<_>>(),
            "Location": format!("s3://pregao-lake/{name}/"),
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "Compressed": true,
            "NumberOfBuckets": -1,
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                "Parameters": { "serialization.format": "1" },
            },
            "BucketColumns": [],
            "StoredAsSubDirectories": false,
            "SortColumns": [],
            "Parameters": of_storage,
        },
    })
}

fn partition(table: &Value, year: u32) -> Value {
    let mut descriptor = table["StorageDescriptor"].clone();
    descriptor.as_object_mut().unwrap().remove("Parameters");
    descriptor["Location"] = format!("{}year={year}/", descriptor["Location"].as_str().unwrap()).into();
    json!({ "Values": [year.to_string()], "StorageDescriptor": descriptor, "Parameters": {} })
}

fn named(name: &str) -> Value {
    json!({ "DatabaseName": "market", "Name": name })
}

fn described(world: &World, name: &str) -> Value {
    ok(world, "GetTable", &named(name))["Table"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_changed_and_its_versions_are_kept() {
    let world = World::new().await;
    ok(&world, "CreateDatabase", &json!({ "DatabaseInput": { "Name": "market" } }));
    let mut table = input("trades", &[("ticker", "string"), ("price", "double")]);
    ok(&world, "CreateTable", &json!({ "DatabaseName": "market", "TableInput": table }));
    let first = described(&world, "trades");
    assert_eq!((&first["VersionId"], &first["StorageDescriptor"]["Compressed"]), (&json!("0"), &json!(true)));
    assert_eq!(first["StorageDescriptor"]["Parameters"], table["StorageDescriptor"]["Parameters"]);
    let add =
        json!({ "DatabaseName": "market", "TableName": "trades", "PartitionInputList": [partition(&table, 2020)] });
    assert_eq!(ok(&world, "BatchCreatePartition", &add), json!({ "Errors": [] }));

    let plain = partition(&table, 2021);
    table["StorageDescriptor"]["Columns"][1]["Comment"] = "in BRL".into();
    table["StorageDescriptor"]["Columns"].as_array_mut().unwrap().push(json!({ "Name": "volume", "Type": "bigint" }));
    table["Description"] = "Trades of the day".into();
    table["Owner"] = "data".into();
    table["Retention"] = 3.into();
    table["Parameters"]["team"] = "lake".into();
    let update = |table: &Value, more: Value| {
        let mut input = json!({ "DatabaseName": "market", "TableInput": table });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    ok(&world, "UpdateTable", &update(&table, json!({})));
    let second = described(&world, "trades");
    assert_eq!(
        (&second["VersionId"], &second["Description"], &second["Owner"]),
        (&json!("1"), &json!("Trades of the day"), &json!("data"))
    );
    assert_eq!((&second["Retention"], &second["CreateTime"]), (&json!(3), &first["CreateTime"]));
    assert_eq!(second["Parameters"]["team"], "lake");
    // The partition keeps its columns, and Athena reads them.
    let of_partition = json!({ "DatabaseName": "market", "TableName": "trades", "PartitionValues": ["2020"] });
    let columns = ok(&world, "GetPartition", &of_partition)["Partition"]["StorageDescriptor"]["Columns"].clone();
    assert_eq!(columns.as_array().unwrap().len(), 2);
    let counted =
        lake::athena::run_in(&world.lake, "market", "SELECT count(*), sum(volume) FROM trades").await.expect("rows");
    assert_eq!(counted.rows, [[Some("0".to_owned()), None]]);

    // A partition need not repeat the comments.
    let add = json!({ "DatabaseName": "market", "TableName": "trades", "PartitionInput": plain });
    ok(&world, "CreatePartition", &add);

    ok(&world, "UpdateTable", &update(&table, json!({ "SkipArchive": true, "VersionId": "1" })));
    refused(&world, "UpdateTable", &update(&table, json!({ "VersionId": "1" })), "ConcurrentModificationException");
    let of_table = json!({ "DatabaseName": "market", "TableName": "trades" });
    let versions = |world: &World| {
        let found = ok(world, "GetTableVersions", &of_table)["TableVersions"].clone();
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version["VersionId"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&world), ["2", "0"], "one was not to be kept");
    let mut of_version = of_table.clone();
    of_version["VersionId"] = "0".into();
    assert_eq!(ok(&world, "GetTableVersion", &of_version)["TableVersion"]["Table"], first);
    of_version["VersionId"] = "1".into();
    refused(&world, "GetTableVersion", &of_version, "EntityNotFoundException");
    let mut several = of_table.clone();
    several["VersionIds"] = json!(["0", "1", "2", "x"]);
    let errors = ok(&world, "BatchDeleteTableVersion", &several)["Errors"].clone();
    let errors: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["VersionId"].as_str().unwrap(), error["ErrorDetail"]["ErrorCode"].as_str().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [("2", "InvalidInputException"), ("x", "InvalidInputException"), ("1", "EntityNotFoundException")]
    );
    assert_eq!(versions(&world), ["2"]);

    for change in [
        json!({ "StorageDescriptor": { "Columns": [{ "Name": "ticker", "Type": "string" }] } }),
        json!({ "PartitionKeys": [] }),
        json!({ "Name": "other" }),
    ] {
        let mut wrong = table.clone();
        for (name, value) in change.as_object().unwrap() {
            match name == "StorageDescriptor" {
                true => wrong[name]["Columns"] = value["Columns"].clone(),
                false => wrong[name] = value.clone(),
            }
        }
        let input = json!({ "DatabaseName": "market", "Name": "trades", "TableInput": wrong });
        refused(&world, "UpdateTable", &input, "InvalidInputException");
    }
    let world = world.restarted().await;
    assert_eq!(described(&world, "trades")["Description"], "Trades of the day");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_found_and_removed_by_their_names() {
    let world = World::new().await;
    ok(&world, "CreateDatabase", &json!({ "DatabaseInput": { "Name": "market", "Description": "of shares" } }));
    let rename = json!({ "Name": "market", "DatabaseInput": { "Name": "market", "Description": "changed", "LocationUri": "s3://pregao-lake/m/" } });
    ok(&world, "UpdateDatabase", &rename);
    let database = ok(&world, "GetDatabase", &json!({ "Name": "market" }))["Database"].clone();
    assert_eq!(
        (&database["Description"], &database["LocationUri"]),
        (&json!("changed"), &json!("s3://pregao-lake/m/"))
    );
    refused(
        &world,
        "UpdateDatabase",
        &json!({ "Name": "nowhere", "DatabaseInput": { "Name": "nowhere" } }),
        "EntityNotFoundException",
    );
    assert_eq!(ok(&world, "GetDatabases", &json!({ "ResourceShareType": "FOREIGN" }))["DatabaseList"], json!([]));
    for name in ["trades", "trades_2020", "quotes"] {
        ok(
            &world,
            "CreateTable",
            &json!({ "DatabaseName": "market", "TableInput": input(name, &[("ticker", "string")]) }),
        );
    }
    let names = |list: &Value| {
        list["TableList"]
            .as_array()
            .unwrap()
            .iter()
            .map(|table| table["Name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let listed = |expression: &str| {
        names(&ok(&world, "GetTables", &json!({ "DatabaseName": "market", "Expression": expression })))
    };
    assert_eq!(listed("trades*"), ["trades", "trades_2020"]);
    assert_eq!(listed("*0|quotes"), ["quotes", "trades_2020"]);
    assert_eq!(listed(""), ["quotes", "trades", "trades_2020"]);
    refused(
        &world,
        "GetTables",
        &json!({ "DatabaseName": "market", "Expression": "t[a-z]+" }),
        "InvalidInputException",
    );
    let found = |search: Value| names(&ok(&world, "SearchTables", &search));
    assert_eq!(found(json!({ "SearchText": "trades" })), ["trades", "trades_2020"]);
    assert_eq!(found(json!({ "SearchText": "\"trades\"" })), ["trades"]);
    assert_eq!(found(json!({ "SearchText": "ticker 2020" })), ["trades_2020"]);
    let filter = json!([{ "Key": "DatabaseName", "Value": "market" }, { "Key": "Name", "Value": "QUOTES", "Comparator": "EQUALS" }]);
    assert_eq!(found(json!({ "Filters": filter })), ["quotes"]);
    assert_eq!(found(json!({ "MaxResults": 2 })), ["quotes", "trades"]);
    refused(&world, "SearchTables", &json!({ "Filters": [{ "Key": "Owner", "Value": "x" }] }), "InvalidInputException");

    let of_table = json!({ "DatabaseName": "market", "TableName": "trades" });
    assert_eq!(ok(&world, "GetPartitionIndexes", &of_table)["PartitionIndexDescriptorList"], json!([]));
    let mut statistics = of_table.clone();
    statistics["ColumnNames"] = json!(["ticker"]);
    assert_eq!(ok(&world, "GetColumnStatisticsForTable", &statistics)["ColumnStatisticsList"], json!([]));
    statistics["PartitionValues"] = json!(["2020"]);
    assert_eq!(ok(&world, "GetColumnStatisticsForPartition", &statistics)["ColumnStatisticsList"], json!([]));
    statistics["TableName"] = "none".into();
    refused(&world, "GetColumnStatisticsForTable", &statistics, "EntityNotFoundException");
    let functions = json!({ "DatabaseName": "market", "Pattern": "*" });
    assert_eq!(ok(&world, "GetUserDefinedFunctions", &functions)["UserDefinedFunctions"], json!([]));
    refused(
        &world,
        "GetUserDefinedFunctions",
        &json!({ "DatabaseName": "nowhere", "Pattern": "*" }),
        "EntityNotFoundException",
    );
    refused(
        &world,
        "GetUserDefinedFunction",
        &json!({ "DatabaseName": "market", "FunctionName": "f" }),
        "EntityNotFoundException",
    );

    let delete = json!({ "DatabaseName": "market", "TablesToDelete": ["trades", "none", "quotes"] });
    let errors = ok(&world, "BatchDeleteTable", &delete)["Errors"].clone();
    assert_eq!(
        errors,
        json!([{ "TableName": "none", "ErrorDetail": { "ErrorCode": "EntityNotFoundException", "ErrorMessage": "Table none not found." } }])
    );
    assert_eq!(listed(""), ["trades_2020"]);
    refused(
        &world,
        "BatchDeleteTable",
        &json!({ "DatabaseName": "nowhere", "TablesToDelete": ["t"] }),
        "EntityNotFoundException",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_is_refused_with_the_reason() {
    let world = World::new().await;
    ok(&world, "CreateDatabase", &json!({ "DatabaseInput": { "Name": "market" } }));
    let csv = |table: &mut Value| {
        table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"] =
            "org.apache.hadoop.hive.serde2.OpenCSVSerde".into();
        table["StorageDescriptor"]["InputFormat"] = "org.apache.hadoop.mapred.TextInputFormat".into();
    };
    type Change<'a> = &'a dyn Fn(&mut Value);
    let refusals: [(Change<'_>, &str); 6] = [
        (&csv, "this endpoint reads Parquet"),
        (&|table| table["StorageDescriptor"]["Columns"][0]["Type"] = "interval".into(), "interval"),
        (&|table| table["Parameters"]["projection.enabled"] = "true".into(), "projection.enabled"),
        (&|table| table["Parameters"]["table_type"] = "ICEBERG".into(), "table_type"),
        (&|table| table["TableType"] = "VIRTUAL_VIEW".into(), "EXTERNAL_TABLE"),
        (&|table| table["StorageDescriptor"]["Columns"] = json!([]), "at least one column"),
    ];
    for (change, words) in refusals {
        let mut table = input("trades", &[("ticker", "string")]);
        change(&mut table);
        let message = refused(
            &world,
            "CreateTable",
            &json!({ "DatabaseName": "market", "TableInput": table }),
            "InvalidInputException",
        );
        assert!(message.contains(words), "{message}");
    }
    refused(&world, "GetTable", &named("trades"), "EntityNotFoundException");
}
