"""The store: Delta tables in a folder or a schema, created on first use."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.errors import ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.spark.frames import empty_frame
from instructmining.spark.paths import absolute
from instructmining.store.columns import WRITTEN
from instructmining.store.conflicts import ATTEMPTS, NoTableError, with_retries
from instructmining.store.definition_sql import create_table_sql, sql_text
from instructmining.store.delta_folders import can_load, is_delta, newest_version, notes_since
from instructmining.store.schemas import TABLES


@dataclass(frozen=True)
class Store:
    """Where the tables are.

    Attributes:
        target: a folder or URI (it has a slash, or is one word that is not a known schema), or
            `catalog.schema` / `schema`.
        is_folder: path-based tables; nothing but Delta is needed to read them.
    """

    spark: SparkSession
    target: str
    is_folder: bool
    _whole: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, spark: SparkSession, target: str) -> "Store":
        """Decide what `target` names, and fail early where it cannot be."""
        if "/" in target or "\\" in target or target.startswith("."):
            return cls(spark, target.rstrip("/"), True)
        known = _is_schema(spark, target)
        if "." not in target and not known:
            return cls(spark, target, True)
        if not known:
            raise UserError(
                f"--store {target}: there is no such schema; create it with "
                f"CREATE SCHEMA {target}, or name a folder (with a slash)"
            )
        return cls(spark, target, False)

    def sql_name(self, table: str) -> str:
        """The name of the table in SQL, quoted."""
        if self.is_folder:
            return f"delta.`{self.location(table).replace('`', '``')}`"
        parts = [*self.target.split("."), table]
        return ".".join(f"`{part.replace('`', '``')}`" for part in parts)

    def location(self, table: str) -> str:
        """The table's folder, absolute for local paths, or its name in the catalog."""
        if not self.is_folder:
            return f"{self.target}.{table}"
        return f"{absolute(self.target)}/{table}"

    def exists(self, table: str) -> bool:
        """Whether the table has been created."""
        if self.is_folder:
            return is_delta(self.spark, self.location(table))
        return bool(self.spark.catalog.tableExists(f"{self.target}.{table}"))

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table, as it is or was; an empty frame of its schema where it does not exist yet.

        Columns that an older version did not write are null.
        """
        if version == -1 or not self.exists(table):
            return empty_frame(self.spark, TABLES[table].ddl)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        if self.is_folder:
            return _with_new_columns(reader.load(self.location(table)), table)
        return _with_new_columns(reader.table(f"{self.target}.{table}"), table)

    def create(self, table: str) -> None:
        """Create the table with its comments, constraints and clustering, if it is not there."""
        if not self.exists(table):
            self._create(table)
        elif TABLES[table].constraints and table not in self._whole:
            # A store of an older version, whose run was killed, may lack some.
            self._constrain(table, self._properties(table))
        self._whole.add(table)

    def _create(self, table: str) -> None:
        create = create_table_sql(TABLES[table], self.sql_name(table), checked=self.is_folder)
        with_retries(lambda: self._made(table, create))
        if not self.is_folder:
            self._constrain(table, {})

    def _made(self, table: str, create: str) -> None:
        """Create; a run that began at the same time may have made the folder, not yet the table."""
        try:
            self.spark.sql(create)
            made = not self.is_folder or can_load(self.spark, self.location(table))
        except Exception as error:
            if "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION" not in str(error):
                raise
            made = False
        if not made:
            raise NoTableError(
                f"{self.location(table)} holds something, but no table: look what it is, move it "
                "away, then run the same command again"
            )

    def _constrain(self, table: str, properties: Mapping[str, str]) -> None:
        for name, condition in TABLES[table].constraints:
            if f"delta.constraints.{name}" in properties:
                continue
            add = f"ALTER TABLE {self.sql_name(table)} ADD CONSTRAINT {name} CHECK ({condition})"
            try:
                with_retries(lambda add=add: self.spark.sql(add))  # type: ignore[misc]
            except Exception as error:
                if "ALREADY_EXISTS" not in str(error):  # a run that began at the same time
                    raise

    def _properties(self, table: str) -> dict[str, str]:
        detail: Any = self.spark.sql(f"DESCRIBE DETAIL {self.sql_name(table)}").first()
        return dict(detail.properties)

    def append(self, rows: DataFrame, table: str, about: Mapping[str, Any]) -> None:
        """Append; only what did not land because of another writer is tried again.

        Args:
            rows: columns are taken by name.
            table: a name of the data contract.
            about: goes into the commit's metadata as JSON.
        """
        self.create(table)
        writer = _appending(rows, table, about)
        with_retries(lambda: self._save(writer, table))

    def insert(
        self,
        missing: Callable[[], DataFrame],
        table: str,
        transaction: str,
        about: Mapping[str, Any],
        seen: tuple[int, int] | None = None,
    ) -> int:
        """Append what the table lacks; where another writer comes first, look again what that is.

        Appends never conflict in Delta, so that two writers would both add the same rows. Here all
        of a table's inserts are versions of one transaction: of two that began at the same state
        of the table Delta takes one.

        Args:
            missing: reads the table and gives the rows that it lacks.
            table: a name of the data contract.
            transaction: unique per call.
            about: goes into the commit's metadata as JSON.
            seen: a version of the table, and the number of rows that it lacked then, where the
                caller has looked already.

        Returns:
            How many rows were added.

        Raises:
            UserError: other writers were first, every time.
        """
        if seen and not seen[1]:
            return 0
        for _ in range(ATTEMPTS):
            before = seen[0] if seen else self.version(table)
            fresh = missing()
            count = seen[1] if seen else fresh.count()
            if not count:
                return 0
            self.create(table)
            writer = (
                _appending(fresh, table, {**about, "insert": transaction})
                .option("txnAppId", f"insert/{table}")
                .option("txnVersion", before + 1)
            )
            with_retries(lambda writer=writer: self._save(writer, table))  # type: ignore[misc]
            if self._landed(table, before, transaction):
                return count
            seen = None  # another writer was first
        raise UserError(
            f"other runs write to {self.location(table)} all the time: wait for them, "
            "then run the same command again"
        )

    def _landed(self, table: str, before: int, transaction: str) -> bool:
        place = self.location(table)
        notes = notes_since(self.spark, place, before + 1) if self.is_folder else None
        if notes is None:
            history = self.spark.sql(f"DESCRIBE HISTORY {self.sql_name(table)} LIMIT 100")
            new = history.where(F.col("version") > before).select("userMetadata").collect()
            notes = [row[0] or "" for row in new]
        return any(f'"insert": {json.dumps(transaction)}' in note for note in notes)

    def replace(
        self,
        rows: DataFrame,
        table: str,
        where: Mapping[str, str],
        about: Mapping[str, Any],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Replace, atomically, the rows whose columns equal `where`; new columns are added.

        `check` is called before each try and may raise: a try that met another writer is repeated,
        and what `rows` were computed from may be out of date by then.
        """
        self.create(table)
        condition = " AND ".join(f"`{key}` = {sql_text(value)}" for key, value in where.items())
        writer = (
            _dated(rows, table)
            .write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", condition)
            .option("mergeSchema", "true")
            .option("userMetadata", json.dumps(dict(about), sort_keys=True))
        )

        def save() -> None:
            check()
            self._save(writer, table)

        with_retries(save)

    def delete(self, table: str, where: Mapping[str, str]) -> None:
        """Delete the rows whose columns equal `where`."""
        condition = " AND ".join(f"`{key}` = {sql_text(value)}" for key, value in where.items())
        self.delete_where(table, condition)

    def delete_where(self, table: str, condition: str) -> None:
        """Delete the rows of a condition in SQL, whose values the caller has quoted."""
        if self.exists(table):
            delete = f"DELETE FROM {self.sql_name(table)} WHERE {condition}"  # noqa: S608 - quoted
            with_retries(lambda: self.spark.sql(delete))

    def create_view(self, name: str, query: str) -> None:
        """A view in the schema; folders have no place for one, the summary prints the join."""
        if not self.is_folder:
            self.spark.sql(f"CREATE OR REPLACE VIEW {self.sql_name(name)} AS {query}")

    def version(self, table: str) -> int:
        """The latest version of the table, −1 where it does not exist."""
        if not self.exists(table):
            return -1
        if self.is_folder:
            known = newest_version(self.spark, self.location(table))
            if known is not None:
                return known
        history = self.spark.sql(f"DESCRIBE HISTORY {self.sql_name(table)} LIMIT 1")
        newest = history.select(F.max("version")).first()
        assert newest is not None  # noqa: S101 - an aggregate without grouping has one row
        return int(newest[0])

    def _save(self, writer: Any, table: str) -> None:
        if self.is_folder:
            writer.save(self.location(table))
        else:
            writer.saveAsTable(f"{self.target}.{table}")


def _dated(rows: DataFrame, table: str) -> DataFrame:
    """The rows, with the time of writing where the table has one."""
    if WRITTEN not in TABLES[table].columns:
        return rows
    return rows.withColumn(WRITTEN.name, F.current_timestamp())


def _appending(rows: DataFrame, table: str, about: Mapping[str, Any]) -> Any:
    """A writer that appends the table's columns."""
    return (
        _dated(rows, table)
        .select(*TABLES[table].names)
        .write.format("delta")
        .mode("append")
        .option("mergeSchema", "true")  # a store of an older version gets the new columns
        .option("userMetadata", json.dumps(dict(about), sort_keys=True))
    )


def _with_new_columns(rows: DataFrame, table: str) -> DataFrame:
    stored = {name.lower() for name in rows.columns}
    new = [column for column in TABLES[table].columns if column.name.lower() not in stored]
    if not new:  # Spark Connect refuses an empty mapping
        return rows
    return rows.withColumns({column.name: F.lit(None).cast(column.type) for column in new})


def _is_schema(spark: SparkSession, name: str) -> bool:
    try:
        return bool(spark.catalog.databaseExists(name))
    except ParseException:  # `my-out` is not a name in SQL, so that no schema is called so
        return False
