//! Operators as functions: Athena's [`arithmetic`](super::arithmetic) on integers and decimals, and long chains of any
//! arithmetic or `||`.
//!
//! DataFusion derives the type, and in part the name, of an expression from all expressions below it, at each level and
//! in each pass. On a chain of n operators (`a + b + c ...`) that takes quadratic time for its own operators and cubic
//! time for functions. So a chain of more than [`NESTED`] operators becomes one call with n + 1 arguments, which are
//! combined from left to right. A shorter chain stays nested: DataFusion shares its common subexpressions and derives
//! ranges from it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{self, Column};

use super::arithmetic::{Arithmetic, ArithmeticOperator};

/// The largest number of operators that stay nested.
const NESTED: usize = 16;

/// n operators on n + 1 arguments, applied from left to right.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OperatorChain {
    operators: Vec<Operator>,
    /// `addition`, or `addition_division_...`. Chains of other operators have other names, as their columns need.
    name: String,
    /// Inside `try(...)`: return NULL instead of failing.
    null_on_error: bool,
    signature: Signature,
}

/// Returns the expression `left operator right`. It is a function if the operands are `exact`, which are integers and
/// decimals, or if a long chain is on the left; otherwise DataFusion's operator.
pub(crate) fn operation(left: Expr, operator: Operator, right: Expr, exact: bool) -> Expr {
    if !is_chained(operator) {
        return Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)));
    }
    if is_long(&left) {
        let (mut operators, mut args) = match left {
            Expr::BinaryExpr(inner) => (vec![inner.op], vec![*inner.left, *inner.right]),
            Expr::ScalarFunction(inner) => {
                (downcast(&inner.func).map(|chain| chain.operators.clone()).unwrap_or_default(), inner.args)
            }
            other => (Vec::new(), vec![other]),
        };
        operators.push(operator);
        args.push(right);
        return call(OperatorChain::new(operators, false), args);
    }
    if exact {
        return call(OperatorChain::new(vec![operator], false), vec![left, right]);
    }
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

fn call(chain: OperatorChain, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(chain)), args))
}

fn is_chained(operator: Operator) -> bool {
    operator.is_numerical_operators() || operator == Operator::StringConcat
}

/// Returns whether an expression has [`NESTED`] operators, each on the left of the next.
fn is_long(expr: &Expr) -> bool {
    let mut left = expr;
    for level in 0..NESTED {
        left = match left {
            Expr::BinaryExpr(inner) if is_chained(inner.op) => &inner.left,
            Expr::ScalarFunction(inner) => match downcast(&inner.func) {
                // The outermost function is extended, so it has to be one that fails on an error.
                Some(chain) if level == 0 && chain.null_on_error => return false,
                Some(chain) if chain.operators.len() > 1 => return true,
                Some(_) if !inner.args.is_empty() => &inner.args[0],
                _ => return false,
            },
            _ => return false,
        };
    }
    true
}

fn downcast(udf: &ScalarUDF) -> Option<&OperatorChain> {
    (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref::<OperatorChain>()
}

/// Returns whether a function is one of this module.
pub(crate) fn is_operation(udf: &ScalarUDF) -> bool {
    downcast(udf).is_some()
}

/// Returns the type of an expression. DataFusion's `get_type` returns the same, and also derives the name of each
/// argument of a function.
pub(crate) fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match expr {
        Expr::ScalarFunction(inner) if let Some(chain) = downcast(&inner.func) => {
            let types = inner.args.iter().map(|argument| type_of(argument, schema)).collect::<Result<Vec<_>>>()?;
            chain.return_type(&types)
        }
        expr => expr.get_type(schema),
    }
}

/// Returns the variant for `try(...)`; `None` if the function is not one of this module.
pub(super) fn null_on_error(udf: &ScalarUDF) -> Option<ScalarUDF> {
    let operators = downcast(udf)?.operators.clone();
    Some(ScalarUDF::from(OperatorChain::new(operators, true)))
}

fn name(operator: Operator) -> &'static str {
    match ArithmeticOperator::new(operator) {
        Some(operator) => operator.name(),
        None => "concatenation",
    }
}

/// One operator with its types.
#[derive(Clone)]
struct Operation {
    /// The types of the operands before they are cast.
    given: [DataType; 2],
    operator: Operator,
    /// The types that the operands are cast to.
    operands: [DataType; 2],
    result: DataType,
    /// The operator on integers and decimals; `None` if DataFusion computes it.
    exact: Option<ArithmeticOperator>,
}

impl Operation {
    fn new(left: &DataType, operator: Operator, right: &DataType) -> Result<Self> {
        let given = [left.clone(), right.clone()];
        if let Some(exact) = ArithmeticOperator::new(operator)
            && let Some(operands) = ArithmeticOperator::operand_types(left, right)
        {
            let result = exact.result_type(&operands);
            return Ok(Self { given, operator, operands, result, exact: Some(exact) });
        }
        let coercer = BinaryTypeCoercer::new(left, &operator, right);
        let (left, right) = coercer.get_input_types()?;
        Ok(Self { given, operator, operands: [left, right], result: coercer.get_result_type()?, exact: None })
    }

    /// Returns whether the next operation of a chain has the types of this one.
    fn repeats(&self, operator: Operator, right: &DataType) -> bool {
        self.operator == operator && self.given[0] == self.result && self.given[1] == *right
    }

    fn compute(&self, left: &ArrayRef, right: &ArrayRef, null_on_error: bool) -> Result<ArrayRef> {
        let (left, right) = (cast(left, &self.operands[0])?, cast(right, &self.operands[1])?);
        let result = match self.exact {
            Some(operator) => Arithmetic { operator, null_on_error }.compute(&left, &right, &self.result)?,
            None => self.compute_by_datafusion(left, right)?,
        };
        cast(&result, &self.result)
    }

    fn compute_by_datafusion(&self, left: ArrayRef, right: ArrayRef) -> Result<ArrayRef> {
        let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field("left", &left), field("right", &right)]));
        let rows = left.len();
        let column = |name, index| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let operation = expressions::BinaryExpr::new(column("left", 0), self.operator, column("right", 1));
        operation.evaluate(&RecordBatch::try_new(schema, vec![left, right])?)?.into_array(rows)
    }
}

fn cast(array: &ArrayRef, ty: &DataType) -> Result<ArrayRef> {
    if array.data_type() == ty {
        return Ok(Arc::clone(array));
    }
    Ok(cast_with_options(array, ty, &CastOptions { safe: false, ..CastOptions::default() })?)
}

impl OperatorChain {
    fn new(operators: Vec<Operator>, null_on_error: bool) -> Self {
        let name = operators.iter().map(|operator| name(*operator)).collect::<Vec<_>>().join("_");
        Self { operators, name, null_on_error, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// Returns the operations for arguments of these types.
    fn operations(&self, arguments: &[DataType]) -> Result<Vec<Operation>> {
        let others = arguments.get(1..).unwrap_or_default();
        if others.len() != self.operators.len() {
            let (expected, given) = (self.operators.len() + 1, arguments.len());
            return Err(DataFusionError::Plan(format!("{} takes {expected} arguments, not {given}", self.name)));
        }
        let mut operations: Vec<Operation> = Vec::with_capacity(others.len());
        for (operator, right) in self.operators.iter().zip(others) {
            let operation = match operations.last() {
                // DataFusion takes microseconds to find the types of an operator, and a chain repeats them.
                Some(last) if last.repeats(*operator, right) => last.clone(),
                last => Operation::new(last.map_or(&arguments[0], |last| &last.result), *operator, right)?,
            };
            operations.push(operation);
        }
        Ok(operations)
    }
}

impl ScalarUDFImpl for OperatorChain {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Accepts the arguments as they are: each operation casts its operands.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.operations(given)?;
        Ok(given.to_vec())
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let mut operations = self.operations(arguments)?;
        let last = operations.pop().ok_or_else(|| DataFusionError::Internal("a chain without operators".to_owned()))?;
        Ok(last.result)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let types: Vec<_> = args.args.iter().map(ColumnarValue::data_type).collect();
        let operations = self.operations(&types)?;
        let all_scalars = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if all_scalars { 1 } else { args.number_rows };
        // Scalars become arrays one at a time: together they could take much memory.
        let mut arrays = args.args.into_iter().map(|argument| argument.into_array(rows));
        let first = arrays.next().ok_or_else(|| DataFusionError::Internal("a chain without arguments".to_owned()))?;
        let result = operations
            .iter()
            .zip(arrays)
            .try_fold(first?, |left, (operation, right)| operation.compute(&left, &right?, self.null_on_error))?;
        if all_scalars {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Float64Array, Int32Array, Int64Array};
    use datafusion::config::ConfigOptions;
    use datafusion::prelude::{col, lit};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const ARITHMETIC: [Operator; 5] =
        [Operator::Plus, Operator::Minus, Operator::Multiply, Operator::Divide, Operator::Modulo];

    fn depth(expr: &Expr) -> usize {
        match expr {
            Expr::ScalarFunction(inner) => 1 + depth(&inner.args[0]),
            Expr::BinaryExpr(inner) => 1 + depth(&inner.left),
            _ => 0,
        }
    }

    fn chain(length: usize, exact: bool, operator: impl Fn(usize) -> Operator) -> Expr {
        (0..length).fold(col("a"), |left, n| operation(left, operator(n), lit(1), exact))
    }

    #[test]
    fn only_long_chains_are_one_call() {
        let mixed = |n: usize| ARITHMETIC[n % ARITHMETIC.len()];
        for exact in [true, false] {
            let short = chain(NESTED, exact, mixed);
            assert_eq!((depth(&short), matches!(short, Expr::BinaryExpr(_))), (NESTED, !exact), "{short}");
            let long = chain(400, exact, mixed);
            assert_eq!(depth(&long), NESTED);
            let Expr::ScalarFunction(call) = long else { panic!("no call: {long}") };
            assert_eq!(call.args.len(), 400 - NESTED + 2);
        }
        assert_eq!(depth(&chain(400, false, |_| Operator::StringConcat)), NESTED);
        assert_eq!(depth(&chain(400, false, |_| Operator::And)), 400);
    }

    #[test]
    fn the_name_tells_chains_apart() {
        let names = [Operator::Plus, Operator::Minus].map(|last| {
            let chain = chain(30, true, |n| if n == 29 { last } else { Operator::Plus });
            chain.schema_name().to_string()
        });
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn null_on_error_applies_inside_try_only() {
        let chain = chain(30, true, |_| Operator::Plus);
        let Expr::ScalarFunction(inner) = chain else { panic!("no call: {chain}") };
        let tried = ScalarFunction::new_udf(Arc::new(null_on_error(&inner.func).unwrap()), inner.args);
        let more = operation(Expr::ScalarFunction(tried), Operator::Divide, lit(0), true);
        let Expr::ScalarFunction(outer) = more else { panic!("no call: {more}") };
        assert_eq!((outer.func.name(), outer.args.len()), ("division", 2));
    }

    fn invoke(chain: &OperatorChain, args: Vec<ArrayRef>) -> Result<ArrayRef> {
        let (rows, types) = (args[0].len(), args.iter().map(|array| array.data_type().clone()).collect::<Vec<_>>());
        let result = chain.invoke_with_args(ScalarFunctionArgs {
            args: args.into_iter().map(ColumnarValue::Array).collect(),
            arg_fields: types.iter().map(|ty| Arc::new(Field::new("x", ty.clone(), true))).collect(),
            number_rows: rows,
            return_field: Arc::new(Field::new("x", chain.return_type(&types)?, true)),
            config_options: Arc::new(ConfigOptions::default()),
        })?;
        result.into_array(rows)
    }

    fn column() -> impl Strategy<Value = ArrayRef> {
        fn of<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<Option<T>>> {
            vec(prop::option::weighted(0.9, value), 3)
        }
        prop_oneof![
            of(-3_i32..10).prop_map(|values| Arc::new(Int32Array::from(values)) as ArrayRef),
            of(prop_oneof![-3_i64..10, Just(i64::MAX)])
                .prop_map(|values| Arc::new(Int64Array::from(values)) as ArrayRef),
            of(-30_i128..100).prop_map(|values| {
                Arc::new(Decimal128Array::from(values).with_precision_and_scale(5, 1).unwrap()) as ArrayRef
            }),
            of(prop_oneof![-3.0..3.0, Just(0.0)]).prop_map(|values| Arc::new(Float64Array::from(values)) as ArrayRef),
        ]
    }

    proptest! {
        /// A chain returns what its operators return one after the other: values, types and errors.
        #[test]
        fn chains_equal_nested_calls(
            first in column(),
            rest in vec((select(&ARITHMETIC), column()), 1..12),
            null_on_error: bool,
        ) {
            let nested = rest.iter().try_fold(Arc::clone(&first), |left, (operator, right)| {
                invoke(&OperatorChain::new(vec![*operator], null_on_error), vec![left, Arc::clone(right)])
            });
            let (operators, others): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
            let chain = OperatorChain::new(operators, null_on_error);
            let called = invoke(&chain, [vec![first], others].concat());
            match (nested, called) {
                (Ok(nested), Ok(called)) => prop_assert_eq!(&nested, &called),
                (Err(nested), Err(called)) => prop_assert_eq!(nested.to_string(), called.to_string()),
                (nested, called) => prop_assert!(false, "nested: {nested:?}, called: {called:?}"),
            }
        }
    }
}
