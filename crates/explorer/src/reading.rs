//! What a statement would do, as far as its words tell: whether it only reads, and which tables it reads from their first
//! day to their last.
//!
//! This is no parser, since Athena has one. It knows quotes, comments, parentheses and the words that begin clauses. The
//! first question is answered strictly: what is not known to read is refused. The second one only makes a hint, and is
//! answered kindly: where in doubt, a table is not read in full.

use market::partition::KEYS;
use market::table::TableName;

use crate::error::Failure;

/// A word, a mark or a value of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a str),
    /// A name in quotes.
    Name(&'a str),
    /// A number or a text.
    Value,
    Mark(char),
}

impl Token<'_> {
    fn is(self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }

    fn is_any(self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether it is this name, in quotes or not.
    fn names(self, name: &str) -> bool {
        matches!(self, Token::Word(own) | Token::Name(own) if own.eq_ignore_ascii_case(name))
    }
}

/// The tokens of a statement; quotes and comments that are left open end with it.
fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        // Up to the end of what began with `first`, and behind it.
        let until = |end: &str| behind.split_once(end).unwrap_or((behind, ""));
        let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        if rest.starts_with("--") {
            rest = until("\n").1;
        } else if rest.starts_with("/*") {
            rest = behind[1..].split_once("*/").map_or("", |(_, behind)| behind);
        } else if first == '\'' {
            // A doubled quote begins another text, which makes no difference here.
            rest = until("'").1;
            tokens.push(Token::Value);
        } else if first == '"' || first == '`' {
            let (name, after) = until(if first == '"' { "\"" } else { "`" });
            rest = after;
            tokens.push(Token::Name(name));
        } else if of_word(first) {
            let end = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
            tokens.push(if first.is_ascii_digit() { Token::Value } else { Token::Word(&rest[..end]) });
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            rest = behind;
        }
    }
    tokens
}

/// The words that statements begin with which change nothing.
const QUERIES: [&str; 3] = ["SELECT", "WITH", "VALUES"];
const LOOKS: [&str; 3] = ["SHOW", "DESCRIBE", "DESC"];

/// Sees to it that a statement only reads.
pub fn check(sql: &str) -> Result<(), Failure> {
    let tokens = tokens(sql);
    let explained = explained(&tokens).map_or(&tokens[..], |(inner, _)| inner);
    let first = explained.iter().find(|token| **token != Token::Mark('('));
    match first {
        None => Err(Failure::invalid("there is no statement").hint("Type one, or start from one of the examples.")),
        Some(word) if word.is_any(&QUERIES) => Ok(()),
        Some(word) if word.is_any(&LOOKS) && explained.len() == tokens.len() => Ok(()),
        Some(token) => {
            let word = if let Token::Word(word) = token { word.to_uppercase() } else { "this".to_owned() };
            Err(Failure::forbidden(format!(
                "The explorer is for reading: a statement here begins with SELECT, WITH, VALUES, SHOW, DESCRIBE or \
                 EXPLAIN, and not with {word}."
            ))
            .hint("What changes the lake is for the command line: pregao query, or pregao --aws query for an account."))
        }
    }
}

/// What stands behind EXPLAIN and its options, and whether it is run.
fn explained<'t, 's>(tokens: &'t [Token<'s>]) -> Option<(&'t [Token<'s>], bool)> {
    let mut rest = tokens.split_first().filter(|(first, _)| first.is("EXPLAIN"))?.1;
    let mut runs = false;
    while let Some((first, behind)) = rest.split_first().filter(|(first, _)| first.is_any(&["ANALYZE", "VERBOSE"])) {
        runs |= first.is("ANALYZE");
        rest = behind;
    }
    if let [Token::Mark('('), option, ..] = rest
        && option.is_any(&["TYPE", "FORMAT"])
    {
        let end = rest.iter().position(|token| *token == Token::Mark(')')).map_or(rest.len(), |at| at + 1);
        rest = &rest[end..];
    }
    Some((rest, runs))
}

/// The tables of which a statement reads every day, in the order of [`TableName::ALL`].
pub fn whole_tables(sql: &str, database: &str) -> Vec<TableName> {
    let all = tokens(sql);
    let read = match explained(&all) {
        Some((_, false)) => return Vec::new(),
        Some((inner, true)) => inner,
        None => &all[..],
    };
    if !read.iter().find(|token| **token != Token::Mark('(')).is_some_and(|first| first.is_any(&QUERIES)) {
        return Vec::new();
    }
    let mut walk = Walk { tokens: read, at: 0, database, defined: defined(read), within: 0 };
    let mut whole = walk.block(Clause::Other);
    // A parenthesis too many ends the outermost block early: Athena will say so.
    whole.sort_unstable();
    whole.dedup();
    whole
}

/// The tables that a statement names, wherever it does.
pub fn tables_of(sql: &str) -> Vec<TableName> {
    let tokens = tokens(sql);
    TableName::ALL.into_iter().filter(|table| tokens.iter().any(|token| token.names(table.as_str()))).collect()
}

/// The names that WITH gives to queries: `name AS (`, or `name (columns) AS (`.
fn defined<'s>(tokens: &[Token<'s>]) -> Vec<&'s str> {
    let mut names = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if !pair[0].is("AS") || pair[1] != Token::Mark('(') {
            continue;
        }
        let before = &tokens[..at];
        let before = match before.last() {
            Some(Token::Mark(')')) => {
                &before[..before.iter().rposition(|token| *token == Token::Mark('(')).unwrap_or_default()]
            }
            _ => before,
        };
        if let Some(Token::Word(name) | Token::Name(name)) = before.last() {
            names.push(*name);
        }
    }
    names
}

/// The part of a SELECT that is being walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clause {
    /// `FROM`, and whether the name of a relation comes next.
    From {
        relation: bool,
    },
    /// A condition of a join.
    On,
    /// `WHERE` and `HAVING`.
    Where,
    Other,
}

/// A walk through the tokens of a query.
struct Walk<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
    database: &'t str,
    defined: Vec<&'s str>,
    /// How many parentheses the walk is within.
    within: usize,
}

/// How deep the walk follows queries into one another: further than Athena does.
const DEEPEST: usize = 100;

/// What is known of one SELECT: one side of a UNION.
#[derive(Default)]
struct Select {
    tables: Vec<TableName>,
    /// Tables of its subqueries that these do not narrow down themselves.
    inner: Vec<TableName>,
    /// Whether a partition key is in its conditions.
    narrowed: bool,
    /// Whether it reads more than the keys: `count(*)` and the days themselves cost nothing.
    cells: bool,
}

impl Select {
    fn whole(self) -> Vec<TableName> {
        if self.narrowed {
            return Vec::new();
        }
        let tables = if self.cells { self.tables } else { Vec::new() };
        tables.into_iter().chain(self.inner).collect()
    }
}

impl Walk<'_, '_> {
    /// Walks to the end of a query, which is that of the statement or of its parenthesis. Gives the tables that it reads
    /// whole.
    fn block(&mut self, begins: Clause) -> Vec<TableName> {
        let (mut clause, mut depth) = (begins, 0_usize);
        let (mut select, mut whole, mut with) = (Select::default(), Vec::new(), Vec::new());
        let (mut selecting, mut narrowed) = (false, false);
        while let Some(token) = self.tokens.get(self.at).copied() {
            self.at += 1;
            let next = self.tokens.get(self.at).copied();
            match token {
                Token::Mark('(') => {
                    let relation = matches!(clause, Clause::From { relation: true });
                    let query = relation || next.is_some_and(|next| next.is_any(&QUERIES));
                    if query && self.within < DEEPEST {
                        self.within += 1;
                        let inner = self.block(if relation { clause } else { Clause::Other });
                        self.within -= 1;
                        if selecting || relation {
                            select.inner.extend(inner)
                        } else {
                            with.extend(inner)
                        }
                        if relation {
                            clause = Clause::From { relation: false };
                        }
                    } else {
                        depth += 1;
                    }
                }
                Token::Mark(')') if depth == 0 => break,
                Token::Mark(')') => depth -= 1,
                Token::Mark(',') if depth == 0 && matches!(clause, Clause::From { .. } | Clause::On) => {
                    clause = Clause::From { relation: true };
                }
                Token::Mark('*') if self.before(2) != Some(Token::Mark('(')) => select.cells = true,
                _ if depth == 0 && token.is_any(&["UNION", "INTERSECT", "EXCEPT"]) => {
                    let done = std::mem::take(&mut select);
                    narrowed |= done.narrowed;
                    whole.extend(done.whole());
                    clause = Clause::Other;
                }
                _ if depth == 0 && self.begins(token).is_some() => {
                    clause = self.begins(token).unwrap_or(clause);
                    selecting |= token.is("SELECT");
                }
                Token::Word(_) | Token::Name(_) => {
                    if clause == (Clause::From { relation: true }) && depth == 0 {
                        select.tables.extend(self.relation());
                        clause = Clause::From { relation: false };
                    } else if KEYS.iter().any(|key| token.names(key)) {
                        select.narrowed |= match clause {
                            // `year(...)` is a function.
                            Clause::Where => next != Some(Token::Mark('(')),
                            Clause::On => self.is_compared_to_a_value(),
                            Clause::From { .. } | Clause::Other => false,
                        };
                    } else {
                        let columns = TableName::ALL.into_iter().flat_map(TableName::columns);
                        select.cells |= columns.into_iter().any(|column| token.names(column.name));
                    }
                }
                Token::Value | Token::Mark(_) => {}
            }
        }
        narrowed |= select.narrowed;
        whole.extend(select.whole());
        // What WITH defines is narrowed by whichever SELECT uses it.
        whole.extend(with.into_iter().filter(|_| !narrowed));
        whole
    }

    /// The clause that a word begins.
    fn begins(&self, word: Token<'_>) -> Option<Clause> {
        // `a IS DISTINCT FROM b` begins none.
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

    /// The token so many before the next one.
    fn before(&self, tokens: usize) -> Option<Token<'_>> {
        self.at.checked_sub(tokens).and_then(|at| self.tokens.get(at)).copied()
    }

    /// Reads the name of a relation to its end, and says which of our tables it is.
    fn relation(&mut self) -> Option<TableName> {
        let mut path = vec![self.tokens[self.at - 1]];
        while let [Token::Mark('.'), name @ (Token::Word(_) | Token::Name(_)), ..] = &self.tokens[self.at..] {
            path.push(*name);
            self.at += 2;
        }
        let is_ours = match path[..] {
            [.., database, _] => database.names(self.database),
            [name] => !self.defined.iter().any(|defined| name.names(defined)),
            [] => false,
        };
        TableName::ALL.into_iter().find(|table| is_ours && path.last().is_some_and(|name| name.names(table.as_str())))
    }

    /// Whether the next tokens are `= 1`, `IN (1`, `BETWEEN 1`.
    fn is_compared_to_a_value(&self) -> bool {
        let mut behind = self.tokens[self.at..].iter();
        let compares = |token: &&Token<'_>| {
            matches!(token, Token::Mark('=' | '<' | '>' | '!' | '(')) || token.is_any(&["IN", "BETWEEN"])
        };
        behind.by_ref().find(|token| !compares(token)) == Some(&Token::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(sql: &str) -> Vec<&'static str> {
        whole_tables(sql, "pregao").into_iter().map(TableName::as_str).collect()
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
            assert!(check(sql).is_ok(), "{sql}");
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
            assert!(check(sql).is_err(), "{sql}");
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
            assert_eq!(whole(sql), tables, "{sql}");
        }
    }

    #[test]
    fn no_depth_is_too_much() {
        for opening in ["(", "(SELECT * FROM ", "FROM (", "(WITH a AS ("] {
            let sql = format!("SELECT * FROM {}quotes", opening.repeat(100_000));
            assert!(check(&sql).is_ok());
            // What it says of such a text does not matter: Athena refuses it.
            let _ = whole_tables(&sql, "pregao");
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
            assert_eq!(whole(sql), Vec::<&str>::new(), "{sql}");
        }
    }

    #[test]
    fn a_result_is_named_for_its_tables() {
        assert_eq!(
            tables_of("SELECT 1 FROM \"Options\" o, quotes -- rejects"),
            [TableName::Quotes, TableName::Options]
        );
    }
}
