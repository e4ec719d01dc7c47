-- The least that the jobs and their readers need in Unity Catalog. Run once as the catalog's owner;
-- replace main, instructmining and the two principals by yours. docs/databricks.md says what for.
CREATE SCHEMA IF NOT EXISTS `main`.`instructmining`;
CREATE VOLUME IF NOT EXISTS `main`.`instructmining`.`raw`;
CREATE VOLUME IF NOT EXISTS `main`.`instructmining`.`weights`;
CREATE VOLUME IF NOT EXISTS `main`.`instructmining`.`files`;

-- The principal that the jobs run as.
GRANT USE CATALOG ON CATALOG `main` TO `instructmining-jobs`;
GRANT USE SCHEMA ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;
GRANT CREATE TABLE ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;
GRANT SELECT ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;
GRANT MODIFY ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;
GRANT READ VOLUME ON VOLUME `main`.`instructmining`.`raw` TO `instructmining-jobs`;
GRANT READ VOLUME ON VOLUME `main`.`instructmining`.`weights` TO `instructmining-jobs`;
GRANT READ VOLUME ON VOLUME `main`.`instructmining`.`files` TO `instructmining-jobs`;
GRANT WRITE VOLUME ON VOLUME `main`.`instructmining`.`files` TO `instructmining-jobs`;
-- Only `fit` and `rules publish` create a model; scoring reads it.
GRANT CREATE MODEL ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;
GRANT EXECUTE ON SCHEMA `main`.`instructmining` TO `instructmining-jobs`;

-- Who reads scores, subsets and reports. Texts are in `examples` and `quarantine`: grant SELECT on
-- single tables instead where readers may see numbers only.
GRANT USE CATALOG ON CATALOG `main` TO `instructmining-readers`;
GRANT USE SCHEMA ON SCHEMA `main`.`instructmining` TO `instructmining-readers`;
GRANT SELECT ON SCHEMA `main`.`instructmining` TO `instructmining-readers`;
GRANT READ VOLUME ON VOLUME `main`.`instructmining`.`files` TO `instructmining-readers`;
