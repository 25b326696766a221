//! No statement exhausts time or memory by nesting: each is planned quickly, or refused at once. Planning that does not
//! terminate keeps the test from ending.

use local_athena::{ErrorKind, QueryError};

use crate::constructs::{CONSTRUCTS, RELATIONS, doubling, select_from};
use crate::fixture::Fixture;

const DEPTHS: [usize; 6] = [1, 5, 9, 16, 39, 120];
const TOO_LARGE: &str = "line 1:1: statement is too large (stack overflow while parsing)";

/// Plans a statement, which may be refused, but only for its size or semantics.
async fn plan(fixture: &Fixture, sql: &str) -> Result<(), QueryError> {
    let outcome = fixture.execute(&format!("EXPLAIN {sql}")).await.map(drop);
    if let Err(error) = &outcome {
        assert_ne!(error.kind, ErrorKind::Internal, "{sql}: {error}");
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn every_construct_is_planned_or_refused() {
    let fixture = Fixture::new();
    // The parser reads these in a loop, or fails at the first.
    let flat = ["compared not", "interval with unit", "date"];
    for construct in CONSTRUCTS {
        for depth in DEPTHS {
            let outcome = plan(&fixture, &construct.statement(depth)).await;
            if depth > 40 && !flat.contains(&construct.name) {
                let error = outcome.expect_err(construct.name);
                assert_eq!((error.kind, &*error.message), (ErrorKind::Syntax, TOO_LARGE), "{} {depth}", construct.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_relation_is_planned_or_refused() {
    let fixture = Fixture::new();
    for (name, relation) in RELATIONS {
        for depth in DEPTHS {
            let outcome = plan(&fixture, &select_from(relation, depth)).await;
            if depth > 40 {
                assert_eq!(outcome.expect_err(name).message, TOO_LARGE, "{name} {depth}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_names_again_and_again_is_counted_before_it_is_written_out() {
    let fixture = Fixture::new();
    assert_eq!(fixture.rows(&doubling(6)).await, ["1"]);
    for levels in 7..60 {
        if let Err(error) = plan(&fixture, &doubling(levels)).await {
            assert_eq!(error.kind, ErrorKind::TooManyStages, "{error}");
            assert!(
                error.message.starts_with("QUERY_HAS_TOO_MANY_STAGES: the plan of this query has the size "),
                "{error}"
            );
        }
    }
    plan(&fixture, &doubling(59)).await.expect_err("2^59 relations");
    // Within a subquery, where the planner would walk through it while it is still at the text.
    plan(&fixture, &format!("SELECT ({})", doubling(30))).await.expect_err("2^30 relations");
    plan(&fixture, &format!("SELECT * FROM (VALUES 1) AS t(x) WHERE x IN ({})", doubling(30))).await.expect_err("2^30");
    plan(&fixture, &format!("WITH b AS ({}) SELECT 1", doubling(30))).await.expect_err("2^30 that nobody names");
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_counted_with_what_they_stand_on() {
    let fixture = Fixture::market().await;
    fixture.run("CREATE VIEW v0 AS SELECT ticker FROM quotes").await;
    let five = |below: usize| {
        let all: Vec<_> = (0..5).map(|n| format!("v{below} AS a{n}")).collect();
        format!("SELECT a0.ticker FROM {}", all.join(", "))
    };
    fixture.run(&format!("CREATE VIEW v1 AS {}", five(0))).await;
    fixture.run(&format!("CREATE VIEW v2 AS {}", five(1))).await;
    fixture.run(&format!("CREATE VIEW v3 AS {}", five(2))).await;
    assert_eq!(plan(&fixture, "SELECT * FROM v2").await, Ok(()));
    for sql in [format!("CREATE VIEW v4 AS {}", five(3)), format!("EXPLAIN (TYPE VALIDATE) {}", five(3)), five(3)] {
        assert_eq!(fixture.refusal(&sql).await.kind, ErrorKind::TooManyStages, "{sql}");
    }
    // Views that refer to each other in all ways.
    let all: Vec<_> = (0..4).map(|n| format!("v{n}")).collect();
    fixture.run("CREATE VIEW w AS SELECT 1 AS ticker").await;
    for view in &all {
        let others =
            all.iter().map(|other| format!("SELECT ticker FROM {other}")).collect::<Vec<_>>().join(" UNION ALL ");
        // Each view refers to valid views; the last ones close cycles.
        let _ = fixture.ask(&format!("CREATE OR REPLACE VIEW {view} AS {others}")).await;
    }
    let error = fixture.refusal("SELECT * FROM v3").await;
    assert!(error.message.contains("stands on too many views, or on itself"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cubes_have_trinos_limit() {
    let fixture = Fixture::new();
    let cube = |columns: usize| {
        let names: Vec<_> = (0..columns).map(|n| format!("c{n}")).collect();
        let (ones, names) = (vec!["1"; columns].join(", "), names.join(", "));
        format!("SELECT count(*) FROM (VALUES ({ones})) AS t({names}) GROUP BY CUBE ({names})")
    };
    assert_eq!(plan(&fixture, &cube(11)).await, Ok(()));
    let error = fixture.refusal(&cube(12)).await;
    assert_eq!(error.kind, ErrorKind::TooManyGroupingSets);
    assert!(error.message.ends_with("GROUP BY has 4096 grouping sets but can contain at most 2048"), "{error}");
    fixture.refusal(&cube(70)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compared_with_one_another_is_limited() {
    let fixture = Fixture::new();
    let list = |count: usize, item: &dyn Fn(usize) -> String, by: &str| {
        let items: Vec<_> = (0..count).map(item).collect();
        items.join(by)
    };
    let columns = |count| format!("SELECT {}", list(count, &|n| n.to_string(), ", "));
    let relations = |count| format!("SELECT 1 FROM {}", list(count, &|n| format!("(VALUES 1) AS t{n}(x{n})"), ", "));
    let joins = |count| {
        let join = |n| format!("JOIN (VALUES 1) AS t{n}(x{n}) ON x = x{n}");
        format!("SELECT 1 FROM (VALUES 1) AS t(x) {}", list(count, &join, " "))
    };
    let unions = |count| list(count, &|_| "SELECT 1".to_owned(), " UNION ALL ");
    let groups = |count| format!("SELECT 1 GROUP BY {}", list(count, &|n| format!("abs({n})"), ", "));
    let values = |count| format!("SELECT 1 FROM (VALUES ({}))", list(count, &|n| n.to_string(), ", "));
    let with = |count| format!("WITH {} SELECT 1", list(count, &|n| format!("a{n} AS (SELECT 1 AS x)"), ", "));
    let all: [&dyn Fn(usize) -> String; 7] = [&columns, &relations, &joins, &unions, &groups, &values, &with];
    for statement in all {
        assert_eq!(plan(&fixture, &statement(30)).await, Ok(()));
        // A larger number of operators is refused by the limit on operators.
        if let Err(error) = plan(&fixture, &statement(380)).await {
            assert!(matches!(error.kind, ErrorKind::TooManyStages | ErrorKind::Syntax), "{error}");
        }
        plan(&fixture, &statement(5000)).await.expect_err("a statement that would take minutes");
    }
    // Lists of values are limited only by the length of a statement.
    let values = format!("SELECT 1 WHERE 1 IN ({})", list(40_000, &|n| n.to_string(), ","));
    assert_eq!(plan(&fixture, &values).await, Ok(()));
}
