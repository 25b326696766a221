//! Checks of SQL statements before they are sent to Athena: whether a statement is read-only, and which tables it scans in
//! full, that is, without a filter on the partition keys.
//!
//! The first check is an allow-list: a statement that is not known to be read-only is refused. The second one is a
//! heuristic for a confirmation prompt: in doubt, it reports no full scan.
//!
//! Both work on tokens and not on a syntax tree. Athena has the parser; a second one here would refuse those statements of
//! Athena that it does not know, and has a limit of nesting.

use market::partition::KEYS;
use market::table::TableName;

use crate::error::ApiError;

/// A token of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword, or an unquoted identifier.
    Word(&'a str),
    /// A quoted identifier.
    Quoted(&'a str),
    /// A number or a string literal.
    Literal,
    /// Any other character: an operator or punctuation.
    Punctuation(char),
}

impl Token<'_> {
    /// Whether it is this keyword.
    fn is(self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }

    fn is_any(self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether it is this identifier, quoted or not.
    fn names(self, name: &str) -> bool {
        matches!(self, Token::Word(own) | Token::Quoted(own) if own.eq_ignore_ascii_case(name))
    }
}

/// Splits a statement into tokens. An unterminated quote or comment extends to the end of the statement.
// Not sqlparser's tokenizer: with a dialect for Athena, it takes hardly fewer lines. Not its parser either: see above.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let after_first = &rest[first.len_utf8()..];
        // The text before `end`, and the text after it.
        let split_at = |end: &str| after_first.split_once(end).unwrap_or((after_first, ""));
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        if rest.starts_with("--") {
            rest = split_at("\n").1;
        } else if rest.starts_with("/*") {
            rest = after_first[1..].split_once("*/").map_or("", |(_, after)| after);
        } else if first == '\'' {
            // A doubled quote is read as the beginning of a second literal, which makes no difference here.
            rest = split_at("'").1;
            tokens.push(Token::Literal);
        } else if first == '"' || first == '`' {
            let (name, after) = split_at(if first == '"' { "\"" } else { "`" });
            rest = after;
            tokens.push(Token::Quoted(name));
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(if first.is_ascii_digit() { Token::Literal } else { Token::Word(&rest[..end]) });
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Punctuation(first));
            }
            rest = after_first;
        }
    }
    tokens
}

/// The first keywords of read-only statements: queries, and statements about the catalog.
const QUERIES: [&str; 3] = ["SELECT", "WITH", "VALUES"];
const CATALOG_QUERIES: [&str; 3] = ["SHOW", "DESCRIBE", "DESC"];

/// Refuses a statement that is not read-only.
///
/// # Errors
/// 400 for an empty statement, 403 for one that may change something.
pub(crate) fn check_read_only(sql: &str) -> Result<(), ApiError> {
    let tokens = tokens(sql);
    let checked = strip_explain(&tokens).map_or(&tokens[..], |(inner, _)| inner);
    let first = checked.iter().find(|token| **token != Token::Punctuation('('));
    match first {
        None => Err(ApiError::invalid("there is no statement").hint("Type one, or start from one of the examples.")),
        Some(word) if word.is_any(&QUERIES) => Ok(()),
        Some(word) if word.is_any(&CATALOG_QUERIES) && checked.len() == tokens.len() => Ok(()),
        Some(token) => {
            let word = if let Token::Word(word) = token { word.to_uppercase() } else { "this".to_owned() };
            Err(ApiError::forbidden(format!(
                "The explorer is for reading: a statement here begins with SELECT, WITH, VALUES, SHOW, DESCRIBE or \
                 EXPLAIN, and not with {word}."
            ))
            .hint("What changes the lake is for the command line: pregao query, or pregao --aws query for an account."))
        }
    }
}

/// Returns the tokens after EXPLAIN and its options, and whether the statement is executed (EXPLAIN ANALYZE); `None` for
/// other statements.
fn strip_explain<'t, 's>(tokens: &'t [Token<'s>]) -> Option<(&'t [Token<'s>], bool)> {
    let mut rest = tokens.split_first().filter(|(first, _)| first.is("EXPLAIN"))?.1;
    let mut executed = false;
    while let Some((first, after)) = rest.split_first().filter(|(first, _)| first.is_any(&["ANALYZE", "VERBOSE"])) {
        executed |= first.is("ANALYZE");
        rest = after;
    }
    if let [Token::Punctuation('('), option, ..] = rest
        && option.is_any(&["TYPE", "FORMAT"])
    {
        let end = rest.iter().position(|token| *token == Token::Punctuation(')')).map_or(rest.len(), |at| at + 1);
        rest = &rest[end..];
    }
    Some((rest, executed))
}

/// Returns the tables that a statement scans in full, in the order of [`TableName::ALL`].
pub(crate) fn full_scans(sql: &str, database: &str) -> Vec<TableName> {
    let all = tokens(sql);
    let query = match strip_explain(&all) {
        Some((_, false)) => return Vec::new(),
        Some((inner, true)) => inner,
        None => &all[..],
    };
    if !query.iter().find(|token| **token != Token::Punctuation('(')).is_some_and(|first| first.is_any(&QUERIES)) {
        return Vec::new();
    }
    let mut walk = Walk { tokens: query, at: 0, database, ctes: cte_names(query), depth: 0 };
    // A surplus closing parenthesis ends the walk early. Athena refuses such a statement.
    let mut full_scans = walk.query(Clause::Other);
    full_scans.sort_unstable();
    full_scans.dedup();
    full_scans
}

/// Returns the tables whose names occur in a statement, in the order of [`TableName::ALL`].
pub(crate) fn mentioned_tables(sql: &str) -> Vec<TableName> {
    let tokens = tokens(sql);
    TableName::ALL.into_iter().filter(|table| tokens.iter().any(|token| token.names(table.as_str()))).collect()
}

/// Returns the names of common table expressions: `name AS (`, or `name (columns) AS (`.
fn cte_names<'s>(tokens: &[Token<'s>]) -> Vec<&'s str> {
    let mut names = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if !pair[0].is("AS") || pair[1] != Token::Punctuation('(') {
            continue;
        }
        let before = &tokens[..at];
        let before = match before.last() {
            Some(Token::Punctuation(')')) => {
                &before[..before.iter().rposition(|token| *token == Token::Punctuation('(')).unwrap_or_default()]
            }
            _ => before,
        };
        if let Some(Token::Word(name) | Token::Quoted(name)) = before.last() {
            names.push(*name);
        }
    }
    names
}

/// The clause of a SELECT that the walk is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    /// `FROM`. `relation` is whether a relation comes next.
    From {
        relation: bool,
    },
    /// A join condition.
    On,
    /// `WHERE` and `HAVING`.
    Where,
    Other,
}

/// A walk over the tokens of a statement.
struct Walk<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
    database: &'t str,
    ctes: Vec<&'s str>,
    /// The number of nested queries that the walk is in.
    depth: usize,
}

/// The most nested queries that the walk enters, so that its recursion is bounded. Athena allows fewer.
const MAX_DEPTH: usize = 100;

/// The findings about one SELECT, such as one side of a UNION.
#[derive(Default)]
struct Select {
    /// The tables in its FROM clause.
    tables: Vec<TableName>,
    /// The full scans of its subqueries.
    subquery_scans: Vec<TableName>,
    /// Whether its conditions contain a partition key.
    filtered: bool,
    /// Whether it reads columns other than the partition keys. `count(*)` and the keys themselves scan no data.
    reads_columns: bool,
}

impl Select {
    fn full_scans(self) -> Vec<TableName> {
        if self.filtered {
            return Vec::new();
        }
        let tables = if self.reads_columns { self.tables } else { Vec::new() };
        tables.into_iter().chain(self.subquery_scans).collect()
    }
}

impl Walk<'_, '_> {
    /// Walks to the end of a query: its closing parenthesis, or the end of the statement. Returns the full scans.
    fn query(&mut self, first_clause: Clause) -> Vec<TableName> {
        let (mut clause, mut parentheses) = (first_clause, 0_usize);
        let (mut select, mut full_scans, mut cte_scans) = (Select::default(), Vec::new(), Vec::new());
        let (mut in_select, mut filtered) = (false, false);
        while let Some(token) = self.tokens.get(self.at).copied() {
            self.at += 1;
            let next = self.tokens.get(self.at).copied();
            match token {
                Token::Punctuation('(') => {
                    let relation = matches!(clause, Clause::From { relation: true });
                    let is_query = relation || next.is_some_and(|next| next.is_any(&QUERIES));
                    if is_query && self.depth < MAX_DEPTH {
                        self.depth += 1;
                        let inner = self.query(if relation { clause } else { Clause::Other });
                        self.depth -= 1;
                        if in_select || relation {
                            select.subquery_scans.extend(inner);
                        } else {
                            cte_scans.extend(inner);
                        }
                        if relation {
                            clause = Clause::From { relation: false };
                        }
                    } else {
                        parentheses += 1;
                    }
                }
                Token::Punctuation(')') if parentheses == 0 => break,
                Token::Punctuation(')') => parentheses -= 1,
                Token::Punctuation(',') if parentheses == 0 && matches!(clause, Clause::From { .. } | Clause::On) => {
                    clause = Clause::From { relation: true };
                }
                Token::Punctuation('*') if self.before(2) != Some(Token::Punctuation('(')) => {
                    select.reads_columns = true;
                }
                _ if parentheses == 0 && token.is_any(&["UNION", "INTERSECT", "EXCEPT"]) => {
                    let done = std::mem::take(&mut select);
                    filtered |= done.filtered;
                    full_scans.extend(done.full_scans());
                    clause = Clause::Other;
                }
                _ if parentheses == 0 && self.clause_of(token).is_some() => {
                    clause = self.clause_of(token).unwrap_or(clause);
                    in_select |= token.is("SELECT");
                }
                Token::Word(_) | Token::Quoted(_) => {
                    if clause == (Clause::From { relation: true }) && parentheses == 0 {
                        select.tables.extend(self.relation());
                        clause = Clause::From { relation: false };
                    } else if KEYS.iter().any(|key| token.names(key)) {
                        select.filtered |= match clause {
                            // `year(...)` is a function.
                            Clause::Where => next != Some(Token::Punctuation('(')),
                            Clause::On => self.is_compared_with_literal(),
                            Clause::From { .. } | Clause::Other => false,
                        };
                    } else {
                        let columns = TableName::ALL.into_iter().flat_map(TableName::columns);
                        select.reads_columns |= columns.into_iter().any(|column| token.names(column.name));
                    }
                }
                Token::Literal | Token::Punctuation(_) => {}
            }
        }
        filtered |= select.filtered;
        full_scans.extend(select.full_scans());
        // A filter in any SELECT of the query may apply to a common table expression.
        full_scans.extend(cte_scans.into_iter().filter(|_| !filtered));
        full_scans
    }

    /// Returns the clause that a keyword begins.
    fn clause_of(&self, word: Token<'_>) -> Option<Clause> {
        // `a IS DISTINCT FROM b` is an operator.
        if word.is("JOIN") || word.is("FROM") && !self.before(2).is_some_and(|before| before.is("DISTINCT")) {
            Some(Clause::From { relation: true })
        } else if word.is("WHERE") || word.is("HAVING") {
            Some(Clause::Where)
        } else if word.is("ON") {
            Some(Clause::On)
        } else if word.is_any(&["SELECT", "WITH", "VALUES", "USING", "GROUP", "ORDER", "WINDOW", "LIMIT", "OFFSET"]) {
            Some(Clause::Other)
        } else {
            None
        }
    }

    /// Returns a token before the next one: 1 is the current token, 2 the one before it.
    fn before(&self, tokens: usize) -> Option<Token<'_>> {
        self.at.checked_sub(tokens).and_then(|at| self.tokens.get(at)).copied()
    }

    /// Reads the rest of a qualified name. Returns the table of the lake that it names, if any.
    fn relation(&mut self) -> Option<TableName> {
        let mut path = vec![self.tokens[self.at - 1]];
        while let [Token::Punctuation('.'), name @ (Token::Word(_) | Token::Quoted(_)), ..] = &self.tokens[self.at..] {
            path.push(*name);
            self.at += 2;
        }
        let is_in_lake = match path[..] {
            [.., database, _] => database.names(self.database),
            [name] => !self.ctes.iter().any(|cte| name.names(cte)),
            [] => false,
        };
        TableName::ALL
            .into_iter()
            .find(|table| is_in_lake && path.last().is_some_and(|name| name.names(table.as_str())))
    }

    /// Whether the next tokens compare with a literal: `= 1`, `IN (1`, `BETWEEN 1`.
    fn is_compared_with_literal(&self) -> bool {
        let mut next = self.tokens[self.at..].iter();
        let compares = |token: &&Token<'_>| {
            matches!(token, Token::Punctuation('=' | '<' | '>' | '!' | '(')) || token.is_any(&["IN", "BETWEEN"])
        };
        next.find(|token| !compares(token)) == Some(&Token::Literal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(sql: &str) -> Vec<&'static str> {
        full_scans(sql, "pregao").into_iter().map(TableName::as_str).collect()
    }

    #[test]
    fn only_what_reads_is_let_through() {
        for sql in [
            "SELECT 1",
            "  -- the first\n/* and\nonly */ select 1",
            "((SELECT 1) UNION SELECT 2)",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES 1, 2",
            "show tables",
            "DESCRIBE quotes",
            "desc quotes",
            "EXPLAIN SELECT 1",
            "EXPLAIN (TYPE LOGICAL, FORMAT TEXT) SELECT 1",
            "EXPLAIN ANALYZE VERBOSE SELECT 1",
            "EXPLAIN (SELECT 1)",
        ] {
            assert!(check_read_only(sql).is_ok(), "{sql}");
        }
        for sql in [
            "DROP TABLE quotes",
            "/* SELECT */ create table x as select 1",
            "-- SELECT\nALTER TABLE quotes DROP PARTITION (day = 1)",
            "INSERT INTO quotes SELECT 1",
            "UNLOAD (SELECT 1) TO 's3://x/'",
            "MSCK REPAIR TABLE quotes",
            "EXPLAIN ANALYZE INSERT INTO quotes SELECT 1",
            "EXPLAIN DROP TABLE quotes",
            "EXECUTE drop_it",
            "\"SELECT\" 1",
            "SELEKT 1",
            "'SELECT'",
            "",
            "-- SELECT 1",
            "/*",
            "EXPLAIN",
        ] {
            assert!(check_read_only(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn tables_without_a_day_are_read_whole() {
        for (sql, tables) in [
            ("SELECT * FROM quotes", vec!["quotes"]),
            ("select ticker from QUOTES q limit 10", vec!["quotes"]),
            ("SELECT ticker FROM pregao.\"options\"", vec!["options"]),
            ("SELECT ticker FROM awsdatacatalog.pregao.rejects", vec!["rejects"]),
            ("SELECT ticker -- WHERE day = 1\nFROM quotes WHERE ticker = 'day = 1'", vec!["quotes"]),
            ("SELECT year, ticker FROM quotes WHERE year(now()) = 2020 ORDER BY day", vec!["quotes"]),
            (
                "SELECT q.bid FROM quotes q JOIN options o ON q.day = o.day AND o.ticker = 'X'",
                vec!["quotes", "options"],
            ),
            ("SELECT q.bid FROM quotes q, options o", vec!["quotes", "options"]),
            ("SELECT bid FROM (SELECT bid FROM quotes)", vec!["quotes"]),
            ("SELECT bid FROM quotes WHERE day = 1 UNION ALL SELECT ua_mkt_bid FROM options", vec!["options"]),
            ("WITH a AS (SELECT bid FROM quotes) SELECT * FROM a", vec!["quotes"]),
            ("SELECT * FROM (quotes JOIN options USING (ticker, year, month, day))", vec!["quotes", "options"]),
            ("SELECT 1 WHERE EXISTS (SELECT ticker FROM rejects)", vec!["rejects"]),
            ("EXPLAIN ANALYZE SELECT * FROM quotes", vec!["quotes"]),
            ("SELECT count(*) FILTER (WHERE day = 1), max(bid) FROM quotes", vec!["quotes"]),
        ] {
            assert_eq!(scanned(sql), tables, "{sql}");
        }
    }

    #[test]
    fn no_depth_is_too_much() {
        for opening in ["(", "(SELECT * FROM ", "FROM (", "(WITH a AS ("] {
            let sql = format!("SELECT * FROM {}quotes", opening.repeat(100_000));
            assert!(check_read_only(&sql).is_ok());
            // The result does not matter, because Athena refuses such a statement.
            let _ = full_scans(&sql, "pregao");
        }
    }

    #[test]
    fn nobody_is_warned_without_need() {
        for sql in [
            "SELECT * FROM quotes WHERE year = 2020 AND month = 4 AND day = 1",
            "SELECT * FROM quotes q WHERE (q.\"day\" = 1 OR q.ticker = 'PETR4')",
            "SELECT * FROM quotes WHERE day IN (SELECT max(day) FROM quotes)",
            "SELECT * FROM (SELECT bid, day FROM quotes) WHERE day = 1",
            "WITH a AS (SELECT * FROM quotes) SELECT * FROM a WHERE month = 4",
            "WITH a AS (SELECT * FROM quotes WHERE day = 1), b AS (SELECT * FROM a) SELECT * FROM a JOIN b USING (ticker)",
            "WITH quotes AS (SELECT * FROM pregao.quotes WHERE day = 1) SELECT bid FROM quotes",
            "WITH quotes (a, b) AS (SELECT bid, ask FROM pregao.quotes WHERE day = 1) SELECT bid FROM quotes",
            "SELECT * FROM quotes q JOIN options o ON o.ticker = q.ticker AND o.day IN (1, 2) AND q.day = 1",
            "SELECT q.bid FROM quotes q JOIN options o USING (ticker) WHERE q.bid IS DISTINCT FROM o.ua_mkt_bid AND q.day = 1",
            "SELECT count(*) FROM quotes",
            "SELECT DISTINCT year, month, day FROM quotes ORDER BY 1, 2, 3",
            "SELECT * FROM \"quotes$partitions\"",
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'quotes'",
            "SELECT * FROM elsewhere.quotes",
            "SELECT extract(year FROM now()), trim(both 'x' FROM 'xax')",
            "SHOW PARTITIONS quotes",
            "SHOW COLUMNS FROM quotes",
            "DESCRIBE quotes",
            "EXPLAIN SELECT * FROM quotes",
            "DROP TABLE quotes",
            "SELECT * FROM",
            "SELECT * FROM (",
            "))",
            "",
        ] {
            assert_eq!(scanned(sql), Vec::<&str>::new(), "{sql}");
        }
    }

    #[test]
    fn a_result_is_named_for_its_tables() {
        assert_eq!(
            mentioned_tables("SELECT 1 FROM \"Options\" o, quotes -- rejects"),
            [TableName::Quotes, TableName::Options]
        );
    }
}
