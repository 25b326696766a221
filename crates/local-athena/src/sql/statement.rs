//! Parsed statements.

use std::sync::Arc;

use super::ddl::{self, Ddl, Show};
use super::select::Select;
use super::tokens::{Cursor, Tokens};
use super::write::{self, Write, WriteTarget};
use crate::deep_stack;
use crate::error::{ErrorKind, QueryError};
use crate::result_set::StatementKind;

/// A parsed statement with its parameters substituted. Parsing needs no catalog.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) form: Form,
}

/// The kinds of statements. Syntax trees are shared, because cloning a deep tree would recurse on the caller's stack.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Reads data.
    Select(Arc<Select>),
    /// Shows the plan of a SELECT.
    Explain { select: Arc<Select>, form: ExplainForm },
    /// Changes the catalog.
    Ddl(Ddl),
    /// Writes the rows of a query.
    Write(Arc<Write>),
    /// Shows the catalog.
    Show(Show),
}

/// `EXPLAIN (TYPE ...)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExplainForm {
    Logical,
    Distributed,
    Validate,
}

impl Statement {
    /// Parses one statement. Each `?` is replaced by the next of `parameters`, which are SQL expressions, like Athena's
    /// `ExecutionParameters`: `'PETR4'`, `15.73`, `DATE '2020-04-01'`.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] with a message like `line 1:8: ...`, also for too few or too many parameters;
    /// [`ErrorKind::NotSupported`] for a statement of Athena that this engine does not have (UPDATE, MERGE, ...).
    pub fn parse(sql: &str, parameters: &[String]) -> Result<Self, QueryError> {
        let form = deep_stack::run(|| form(&mut Tokens::read(sql, parameters)?.cursor()))?;
        Ok(Self { form })
    }

    /// Returns Athena's `StatementType`.
    pub fn kind(&self) -> StatementKind {
        match &self.form {
            Form::Select(_) => StatementKind::Dml,
            Form::Ddl(_) => StatementKind::Ddl,
            Form::Write(write) => match write.target {
                WriteTarget::NewTable { .. } => StatementKind::Ddl,
                WriteTarget::Table { .. } | WriteTarget::Objects { .. } => StatementKind::Dml,
            },
            Form::Explain { .. } | Form::Show(_) => StatementKind::Utility,
        }
    }

    /// Returns Athena's `SubstatementType`: `SELECT`, `CREATE_TABLE`, `SHOW_PARTITIONS`, ...
    pub fn name(&self) -> &'static str {
        match &self.form {
            Form::Select(_) => "SELECT",
            Form::Write(write) => write.name(),
            Form::Explain { .. } => "EXPLAIN",
            Form::Ddl(ddl) => match ddl {
                Ddl::CreateDatabase { .. } => "CREATE_DATABASE",
                Ddl::DropDatabase { .. } => "DROP_DATABASE",
                Ddl::CreateTable { .. } => "CREATE_TABLE",
                Ddl::DropTable { .. } => "DROP_TABLE",
                Ddl::AddColumns { .. } => "ALTER_TABLE_ADD_COLUMNS",
                Ddl::AddPartitions { .. } => "ALTER_TABLE_ADD_PARTITION",
                Ddl::MovePartition { .. } => "ALTER_TABLE_SET_LOCATION",
                Ddl::SetProperties { .. } => "ALTER_TABLE_SET_TBLPROPERTIES",
                Ddl::DropPartitions { .. } => "ALTER_TABLE_DROP_PARTITION",
                Ddl::RepairTable { .. } => "MSCK_REPAIR_TABLE",
                Ddl::CreateView(_) => "CREATE_VIEW",
                Ddl::DropView { .. } => "DROP_VIEW",
            },
            Form::Show(show) => match show {
                Show::Databases { .. } => "SHOW_DATABASES",
                Show::Tables { .. } => "SHOW_TABLES",
                Show::Views { .. } => "SHOW_VIEWS",
                Show::Partitions { .. } => "SHOW_PARTITIONS",
                Show::Columns { .. } => "SHOW_COLUMNS",
                Show::Properties { .. } => "SHOW_TBLPROPERTIES",
                Show::CreateTable { .. } => "SHOW_CREATE_TABLE",
                Show::CreateView { .. } => "SHOW_CREATE_VIEW",
                Show::Describe { .. } => "DESCRIBE_TABLE",
            },
        }
    }
}

/// The first words of statements that Athena, Hive or Trino has and this engine does not support.
const UNSUPPORTED: [&str; 18] = [
    "UPDATE",
    "DELETE",
    "MERGE",
    "TRUNCATE",
    "OPTIMIZE",
    "VACUUM",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "USE",
    "ANALYZE",
    "CALL",
    "GRANT",
    "REVOKE",
    "SET",
    "COMMENT",
    "EXPORT",
    "LOAD",
];

fn form(cursor: &mut Cursor<'_>) -> Result<Form, QueryError> {
    let form = if is_create_table_as(cursor) && cursor.take_all(&["CREATE", "TABLE"]) {
        return write::create_table_as(cursor).map(|write| Form::Write(write.shared()));
    } else if cursor.take("INSERT") {
        return write::insert(cursor).map(|write| Form::Write(write.shared()));
    } else if cursor.take("UNLOAD") {
        return write::unload(cursor).map(|write| Form::Write(write.shared()));
    } else if cursor.take("CREATE") {
        Form::Ddl(ddl::create(cursor)?)
    } else if cursor.take("DROP") {
        Form::Ddl(ddl::drop(cursor)?)
    } else if cursor.take("ALTER") {
        Form::Ddl(ddl::alter(cursor)?)
    } else if cursor.take("MSCK") {
        Form::Ddl(ddl::repair(cursor)?)
    } else if cursor.take("SHOW") {
        Form::Show(ddl::show(cursor)?)
    } else if cursor.take("DESCRIBE") || cursor.take("DESC") {
        Form::Show(ddl::describe(cursor)?)
    } else if cursor.take("EXPLAIN") {
        return explain(cursor);
    } else {
        return select(cursor).map(|select| Form::Select(Arc::new(select)));
    };
    if !matches!(form, Form::Ddl(Ddl::CreateView(_))) {
        cursor.expect_end()?;
    }
    Ok(form)
}

/// Returns whether the statement is a CREATE TABLE with a query.
fn is_create_table_as(cursor: &Cursor<'_>) -> bool {
    use datafusion::sql::sqlparser::tokenizer::Token;
    let is_word = |t: &datafusion::sql::sqlparser::tokenizer::TokenWithSpan, words: &[&str]| matches!(&t.token, Token::Word(found) if found.quote_style.is_none() && words.iter().any(|word| found.value.eq_ignore_ascii_case(word)));
    let mut ahead = cursor.clone();
    ahead.take_all(&["CREATE", "TABLE"]) && ahead.rest().iter().any(|t| is_word(t, &["SELECT", "VALUES"]))
}

fn select(cursor: &Cursor<'_>) -> Result<Select, QueryError> {
    use datafusion::sql::sqlparser::tokenizer::Token;
    let starts = ["SELECT", "WITH", "VALUES", "TABLE"];
    let parenthesis = cursor.rest().first().is_some_and(|t| t.token == Token::LParen);
    if parenthesis || starts.iter().any(|word| cursor.is(word)) {
        return Select::parse(cursor);
    }
    if let Some(word) = UNSUPPORTED.iter().find(|word| cursor.is(word)) {
        return Err(QueryError::new(
            ErrorKind::NotSupported,
            format_args!("{word} is not supported by the embedded Athena: it only reads"),
        ));
    }
    Err(cursor
        .unexpected("'ALTER', 'CREATE', 'DESCRIBE', 'DROP', 'EXPLAIN', 'MSCK', 'SELECT', 'SHOW', 'VALUES', 'WITH'"))
}

fn explain(cursor: &mut Cursor<'_>) -> Result<Form, QueryError> {
    use datafusion::sql::sqlparser::tokenizer::Token;
    if cursor.is("ANALYZE") {
        return Err(QueryError::new(
            ErrorKind::NotSupported,
            "EXPLAIN ANALYZE is not supported by the embedded Athena",
        ));
    }
    let mut form = ExplainForm::Distributed;
    let mut ahead = cursor.clone();
    let has_options = ahead.take_mark(&Token::LParen) && (ahead.is("TYPE") || ahead.is("FORMAT"));
    if has_options {
        cursor.expect_mark(&Token::LParen)?;
        loop {
            if cursor.take("TYPE") {
                form = explain_type(cursor)?;
            } else {
                cursor.expect("FORMAT")?;
                cursor.expect("TEXT")?;
            }
            if cursor.take_mark(&Token::RParen) {
                break;
            }
            cursor.expect_mark(&Token::Comma)?;
        }
    }
    let select = Arc::new(select(cursor)?);
    Ok(Form::Explain { select, form })
}

fn explain_type(cursor: &mut Cursor<'_>) -> Result<ExplainForm, QueryError> {
    let types = [
        ("LOGICAL", ExplainForm::Logical),
        ("DISTRIBUTED", ExplainForm::Distributed),
        ("VALIDATE", ExplainForm::Validate),
    ];
    types
        .into_iter()
        .find(|(word, _)| cursor.take(word))
        .map(|(_, form)| form)
        .ok_or_else(|| cursor.unexpected("'DISTRIBUTED', 'LOGICAL', 'VALIDATE'"))
}
