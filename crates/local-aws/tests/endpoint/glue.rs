//! Glue: the same catalog that Athena's statements read and change.

use std::collections::BTreeMap;

use aws_sdk_glue::Client;
use aws_sdk_glue::error::ProvideErrorMetadata;
use aws_sdk_glue::types::{
    BatchUpdatePartitionRequestEntry, Column, DatabaseInput, PartitionInput, PartitionValueList, Segment, SerDeInfo,
    StorageDescriptor, TableInput,
};
use chrono::{Days, NaiveDate};
use lake::partitions::{self, Outcome};
use lake::{Error, athena};
use market::partition::{DateRange, Partition};
use market::table::TableName;

use crate::{World, code};

const TABLE: &str = "quotes";

/// An endpoint with the table, without partitions.
async fn with_table(world: World) -> World {
    partitions::create_database(&world.lake, "market").await.expect("a database");
    let ddl = TableName::Quotes.create_table_ddl("market", "s3://pregao-lake/quotes/");
    athena::run_in(&world.lake, "market", &ddl).await.expect("a table");
    world
}

/// Returns this many days, each in the folder of a run.
fn days(number: u64, run: &str) -> BTreeMap<Partition, String> {
    let first = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a day");
    let partitions = (0..number).map(|day| Partition::from(first + Days::new(day)));
    partitions.map(|partition| (partition, format!("s3://pregao-lake/quotes/{partition}/run={run}/"))).collect()
}

async fn published(world: &World) -> BTreeMap<Partition, String> {
    partitions::list(&world.lake, "market", TABLE).await.expect("partitions")
}

async fn publish(world: &World, wanted: &BTreeMap<Partition, String>) -> Result<Outcome, Error> {
    partitions::publish(&world.lake, "market", TABLE, wanted).await
}

async fn descriptor(glue: &Client, location: &str) -> StorageDescriptor {
    let table = glue.get_table().database_name("market").name(TABLE).send().await.expect("a table").table;
    let mut descriptor = table.expect("a table").storage_descriptor.expect("a descriptor");
    descriptor.location = Some(location.to_owned());
    descriptor
}

async fn input(glue: &Client, values: [&str; 3], location: &str) -> PartitionInput {
    let values = values.map(str::to_owned).to_vec();
    PartitionInput::builder().set_values(Some(values)).storage_descriptor(descriptor(glue, location).await).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_their_columns_until_they_are_replaced() {
    let world = with_table(World::new().await).await;
    let first = days(2, "a");
    publish(&world, &first).await.expect("published");
    let ddl = "ALTER TABLE quotes ADD COLUMNS (vwap double)";
    athena::run_in(&world.lake, "market", ddl).await.expect("a column");
    let glue = &world.lake.glue;
    let number_of_columns = async || -> Vec<usize> {
        let listed = glue.get_partitions().database_name("market").table_name(TABLE).send().await.expect("partitions");
        let descriptors = listed.partitions().iter().filter_map(|partition| partition.storage_descriptor());
        descriptors.map(|descriptor| descriptor.columns().len()).collect()
    };
    let all = TableName::Quotes.columns().len() + 1;
    assert_eq!(number_of_columns().await, [all - 1, all - 1]);
    publish(&world, &days(1, "b")).await.expect("published");
    assert_eq!(number_of_columns().await, [all, all - 1]);

    // Another client may keep the columns of a partition, and no others than the first ones of the table.
    let partition = async |columns: &dyn Fn(&mut Vec<Column>)| {
        let location = "s3://pregao-lake/quotes/other/";
        let mut input = input(glue, ["2020", "1", "1"], location).await;
        let descriptor = input.storage_descriptor.as_mut().expect("a descriptor");
        columns(descriptor.columns.get_or_insert_default());
        let update = glue.update_partition().database_name("market").table_name(TABLE).partition_input(input);
        let update = update.set_partition_value_list(Some(["2020", "1", "1"].map(str::to_owned).to_vec()));
        update.send().await
    };
    partition(&|columns| columns.truncate(3)).await.expect("updated");
    assert_eq!(number_of_columns().await, [3, all - 1]);
    for change in [|columns: &mut Vec<Column>| columns.swap(0, 1), |columns: &mut Vec<Column>| columns.clear()] {
        assert_eq!(code(partition(&change).await), "InvalidInputException");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_brought_to_where_they_are_wanted() {
    let world = with_table(World::new().await).await;
    // Three batches, the last one incomplete.
    let first = days(250, "a");
    let done = publish(&world, &first).await.expect("published");
    assert_eq!((done.created.len(), done.changed.len(), done.left.len()), (250, 0, 0));
    assert_eq!(published(&world).await, first);

    let mut second = first.clone();
    second.extend(days(120, "b"));
    second.extend(days(260, "a").into_iter().filter(|(partition, _)| !first.contains_key(partition)));
    let done = publish(&world, &second).await.expect("published");
    assert_eq!((done.created.len(), done.changed.len(), done.left.len()), (10, 120, 130));
    assert_eq!(published(&world).await, second);

    let again = publish(&world, &second).await.expect("published");
    assert_eq!((again.created.len(), again.changed.len(), again.left.len()), (0, 0, 260));
    // Partitions that are not in the request do not change.
    let one = days(1, "c");
    assert_eq!(publish(&world, &one).await.expect("published").changed, one.keys().copied().collect());
    second.extend(one);
    assert_eq!(published(&world).await, second);
    // Athena sees the same.
    let shown = athena::run_in(&world.lake, "market", "SHOW PARTITIONS quotes").await.expect("partitions");
    let shown: Vec<Option<String>> = shown.rows.into_iter().flatten().collect();
    assert_eq!(shown, second.keys().map(|partition| Some(partition.to_string())).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_of_a_range_are_listed_by_their_months_or_years() {
    let world = with_table(World::new().await).await;
    let all = days(800, "a");
    publish(&world, &all).await.expect("published");
    for (from, to) in [
        ("2020-01-01", "2020-01-01"),
        ("2020-03-31", "2020-04-01"),
        ("2020-10-05", "2020-12-31"),
        ("2020-12-31", "2021-01-01"),
        ("2019-01-01", "2022-12-31"),
        ("2022-05-01", "2022-05-31"),
    ] {
        let [from, to]: [NaiveDate; 2] = [from, to].map(|day| day.parse().expect("a day"));
        let range = DateRange::new(from, to).expect("a range");
        let listed = partitions::list_range(&world.lake, "market", TABLE, range).await.expect("partitions");
        let expected = all.iter().filter(|(partition, _)| range.contains(partition.date()));
        assert_eq!(listed, expected.map(|(partition, location)| (*partition, location.clone())).collect(), "{range}");
    }
    let selected = async |expression: &str| {
        let request = world.lake.glue.get_partitions().database_name("market").table_name(TABLE).max_results(1_000);
        request.expression(expression).send().await.map(|listed| listed.partitions().len())
    };
    assert_eq!(selected("year = 2020 AND NOT (month < 12 OR day IN (1, 2))").await.expect("partitions"), 29);
    assert_eq!(code(selected("ticker = 'PETR4'").await), "InvalidInputException");
    assert_eq!(code(selected("year = 'x'").await), "InvalidInputException");
    assert_eq!(selected("year = '2022'").await.expect("partitions"), 69);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_changes_nothing_of_what_is_published() {
    for plan in [
        "op=BatchCreatePartition&n=1-2:lost",
        "op=BatchUpdatePartition&n=1:lost",
        "op=GetPartitions&n=1:truncate",
        "service=glue&n=2-3:throttle",
        "service=glue&n=1-2:error",
    ] {
        let world = with_table(World::failing(&format!("{plan},speed=100")).await).await;
        let wanted = days(150, "a");
        for wanted in [&wanted, &days(150, "b")] {
            let done = publish(&world, wanted).await.unwrap_or_else(|error| panic!("{plan}: {error}"));
            assert_eq!(done.created.len() + done.changed.len(), 150, "{plan}");
            assert_eq!(&published(&world).await, wanted, "{plan}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_cannot_be_moved_is_named_with_the_reason() {
    let world = with_table(World::new().await).await;
    publish(&world, &days(2, "a")).await.expect("published");
    let known = published(&world).await;
    let second: Vec<Partition> = known.keys().skip(1).copied().collect();
    partitions::remove(&world.lake, "market", TABLE, &second).await.expect("removed");
    partitions::remove(&world.lake, "market", TABLE, &second).await.expect("nothing is left to remove");
    assert_eq!(published(&world).await, days(1, "a"));
    let error = partitions::update(&world.lake, "market", TABLE, &known, &days(2, "b")).await;
    let error = error.expect_err("one of them is not there");
    assert_eq!(error.name(), "PartitionNotFound");
    let text = error.to_string();
    assert!(text.contains("year=2020/month=1/day=2 of market.quotes") && text.contains("Cannot find"), "{text}");
    assert!(!error.is_missing_table());
    assert_eq!(published(&world).await, days(1, "b"));

    // A partition that another client has added meanwhile gets the new location.
    let nothing = BTreeMap::new();
    let done = partitions::update(&world.lake, "market", TABLE, &nothing, &days(60, "c")).await.expect("published");
    assert_eq!((done.created.len(), done.changed.len()), (59, 1));
    assert_eq!(published(&world).await, days(60, "c"));
    let all: Vec<Partition> = days(60, "c").into_keys().collect();
    partitions::remove(&world.lake, "market", TABLE, &all).await.expect("removed in several calls");
    assert_eq!(published(&world).await, nothing);
    for (database, table) in [("market", "trades"), ("nowhere", TABLE)] {
        let error = partitions::publish(&world.lake, database, table, &days(1, "a")).await.expect_err("no table");
        assert!(error.is_missing_table(), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_come_in_pages_and_in_segments() {
    let world = with_table(World::new().await).await;
    publish(&world, &days(230, "a")).await.expect("published");
    let glue = &world.lake.glue;
    let list = || glue.get_partitions().database_name("market").table_name(TABLE);
    let mut pages = list().max_results(100).into_paginator().send();
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.expect("a page").partitions.unwrap_or_default();
        sizes.push(page.len());
        seen.extend(page.into_iter().map(|partition| partition.values.unwrap_or_default()));
        // Deleting a partition of an earlier page does not change the later pages.
        let values = seen.last().cloned();
        let deletion = glue.delete_partition().database_name("market").table_name(TABLE);
        deletion.set_partition_values(values).send().await.expect("a partition is removed");
    }
    assert_eq!(sizes, [100, 100, 30]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 230);

    let mut in_segments = Vec::new();
    for number in 0..3 {
        let segment = Segment::builder().segment_number(number).total_segments(3).build().expect("a segment");
        let found = list().segment(segment).send().await.expect("a page").partitions.unwrap_or_default();
        assert!(found.len() > 40, "{}", found.len());
        in_segments.extend(found.into_iter().map(|partition| partition.values.unwrap_or_default()));
    }
    in_segments.sort();
    in_segments.dedup();
    assert_eq!(in_segments.len(), 227);
    let columns = async |exclude: bool| {
        let found = list().exclude_column_schema(exclude).max_results(1).send().await.expect("a page").partitions;
        let found = found.expect("partitions").remove(0).storage_descriptor.expect("a descriptor");
        found.columns.unwrap_or_default().len()
    };
    assert_eq!((columns(true).await, columns(false).await), (0, TableName::Quotes.columns().len()));
    assert_eq!(code(list().max_results(1_001).send().await), "ValidationException");
    assert_eq!(code(list().next_token("x").send().await), "InvalidInputException");
    assert_eq!(code(list().expression("price > 3").send().await), "InvalidInputException");
    let segment = Segment::builder().segment_number(3).total_segments(3).build().expect("a segment");
    assert_eq!(code(list().segment(segment).send().await), "InvalidInputException");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_glue_is_one_of_athena() {
    let world = with_table(World::new().await).await;
    let glue = &world.lake.glue;
    let database = DatabaseInput::builder().name("other").description("of others").build().expect("an input");
    glue.create_database().database_input(database.clone()).send().await.expect("a database");
    assert_eq!(code(glue.create_database().database_input(database).send().await), "AlreadyExistsException");
    let listed = glue.get_databases().send().await.expect("databases").database_list;
    assert_eq!(listed.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["default", "market", "other"]);

    let of = |name: &str, ty: &str| Column::builder().name(name).r#type(ty).build().expect("a column");
    let table = TableInput::builder()
        .name("Trades")
        .table_type("EXTERNAL_TABLE")
        .storage_descriptor(descriptor(glue, "s3://pregao-lake/trades").await)
        .partition_keys(of("year", "int"))
        .parameters("comment", "one a line")
        .parameters("classification", "parquet");
    let table = table.build().expect("an input");
    glue.create_table().database_name("other").table_input(table).send().await.expect("a table");
    let shown = athena::run_in(&world.lake, "other", "SHOW CREATE TABLE trades").await.expect("a table");
    let shown: Vec<String> = shown.rows.into_iter().flatten().flatten().collect();
    let shown = shown.join("\n");
    for line in ["COMMENT 'one a line'", "'s3://pregao-lake/trades'", "  `year` int)", "'classification'='parquet'"] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let created = input(glue, ["2020", "", ""], "s3://pregao-lake/x/").await;
    let created = PartitionInput::builder().values("2020").set_storage_descriptor(created.storage_descriptor).build();
    glue.create_partition().database_name("other").table_name("trades").partition_input(created).send().await.unwrap();
    let counted = athena::run_in(&world.lake, "other", "SELECT count(*) FROM trades WHERE year = 2020").await;
    assert_eq!(counted.expect("rows").rows, [[Some("0".to_owned())]]);

    athena::run_in(&world.lake, "other", "CREATE VIEW latest AS SELECT * FROM trades").await.expect("a view");
    let pages = glue.get_tables().database_name("other").max_results(1).into_paginator().send();
    let pages = pages.collect::<Result<Vec<_>, _>>().await.expect("pages");
    let tables: Vec<_> = pages.into_iter().flat_map(|page| page.table_list.unwrap_or_default()).collect();
    let kinds: Vec<_> = tables.iter().map(|table| (table.name(), table.table_type().unwrap_or_default())).collect();
    assert_eq!(kinds, [("latest", "VIRTUAL_VIEW"), ("trades", "EXTERNAL_TABLE")]);
    assert!(tables[0].view_original_text().is_some_and(|text| text.starts_with("/* Presto View: ")));
    let of_view =
        glue.get_partitions().database_name("other").table_name("latest").send().await.expect("no partitions");
    assert!(of_view.partitions().is_empty());

    for name in ["latest", "trades"] {
        glue.delete_table().database_name("other").name(name).send().await.expect("a table is removed");
        assert_eq!(code(glue.delete_table().database_name("other").name(name).send().await), "EntityNotFoundException");
    }
    glue.delete_database().name("other").send().await.expect("a database is removed");
    assert_eq!(code(glue.get_database().name("other").send().await), "EntityNotFoundException");
    // The changes survive a restart.
    publish(&world, &days(3, "a")).await.expect("published");
    let world = world.restarted().await;
    assert_eq!(published(&world).await, days(3, "a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalog_cannot_hold_is_refused_as_a_whole() {
    let world = with_table(World::new().await).await;
    let glue = &world.lake.glue;
    let good = input(glue, ["2020", "1", "1"], "s3://pregao-lake/1/").await;
    let change = |change: &dyn Fn(&mut PartitionInput)| {
        let mut input = good.clone();
        change(&mut input);
        input
    };
    let descriptor = |change: &dyn Fn(&mut StorageDescriptor)| {
        let mut input = good.clone();
        change(input.storage_descriptor.as_mut().expect("a descriptor"));
        input
    };
    let some = |key: &str| Some([(key.to_owned(), "1".to_owned())].into());
    for (what, bad) in [
        ("parameters", change(&|input| input.parameters = some("numRows"))),
        ("padded values", change(&|input| input.values = Some(["2020", "01", "1"].map(str::to_owned).to_vec()))),
        ("too few values", change(&|input| input.values = Some(vec!["2020".to_owned()]))),
        ("no descriptor", change(&|input| input.storage_descriptor = None)),
        ("a time", change(&|input| input.last_access_time = Some(aws_sdk_glue::primitives::DateTime::from_secs(0)))),
        ("no location", descriptor(&|descriptor| descriptor.location = None)),
        ("a location elsewhere", descriptor(&|descriptor| descriptor.location = Some("hdfs://x/y".to_owned()))),
        ("other columns", descriptor(&|descriptor| _ = descriptor.columns.as_mut().map(|columns| columns.remove(0)))),
        ("no columns", descriptor(&|descriptor| descriptor.columns = None)),
        ("another format", descriptor(&|descriptor| descriptor.input_format = Some("text".to_owned()))),
        ("another library", descriptor(&|descriptor| descriptor.serde_info = Some(SerDeInfo::builder().build()))),
        ("buckets", descriptor(&|descriptor| descriptor.number_of_buckets = 8)),
        ("more places", descriptor(&|descriptor| descriptor.additional_locations = Some(vec!["s3://b/".to_owned()]))),
        ("properties", descriptor(&|descriptor| descriptor.parameters = some("x"))),
    ] {
        let batch = glue.batch_create_partition().database_name("market").table_name(TABLE);
        let other = input(glue, ["2020", "1", "2"], "s3://pregao-lake/2/").await;
        let answer = batch.partition_input_list(other).partition_input_list(bad).send().await;
        assert_eq!(code(answer), "InvalidInputException", "{what}");
    }
    assert_eq!(published(&world).await, BTreeMap::new());
    let too_many = vec![good.clone(); 101];
    let batch = glue.batch_create_partition().database_name("market").table_name(TABLE);
    assert_eq!(code(batch.set_partition_input_list(Some(too_many)).send().await), "ValidationException");
    let entry = BatchUpdatePartitionRequestEntry::builder()
        .set_partition_value_list(good.values.clone())
        .partition_input(good.clone())
        .build()
        .expect("an entry");
    let batch = || glue.batch_update_partition().database_name("market").table_name(TABLE);
    assert_eq!(code(batch().set_entries(Some(vec![entry.clone(); 101])).send().await), "ValidationException");
    assert_eq!(code(batch().set_entries(Some(Vec::new())).send().await), "ValidationException");
    let values = PartitionValueList::builder().set_values(good.values.clone()).build().expect("values");
    let batch = glue.batch_delete_partition().database_name("market").table_name(TABLE);
    let answer = batch.set_partitions_to_delete(Some(vec![values; 26])).send().await;
    assert_eq!(code(answer), "ValidationException");
    let view = TableInput::builder().name("v").table_type("VIRTUAL_VIEW").view_original_text("SELECT 1");
    let view = view.build().expect("an input");
    let answer = glue.create_table().database_name("market").table_input(view).send().await;
    assert_eq!(code(answer), "InvalidInputException");
    assert_eq!(code(glue.get_databases().catalog_id("123456789012").send().await), "EntityNotFoundException");
    let absent = glue.get_crawlers().send().await;
    let message = absent.as_ref().err().and_then(ProvideErrorMetadata::message).map(str::to_owned);
    assert_eq!(code(absent), "UnknownOperationException");
    assert_eq!(message.as_deref(), Some("GetCrawlers is not an operation of this endpoint"));
}
