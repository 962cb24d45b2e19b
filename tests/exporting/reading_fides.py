"""Read by the Python that has fideslang: manifests, what they declare and what their policies refuse.

`python reading_fides.py FOLDER…` prints one JSON object a folder. Categories and uses are told by their names.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")  # of fideslang itself, about pydantic

from fideslang import DEFAULT_TAXONOMY  # noqa: E402
from fideslang.manifests import ingest_manifests  # noqa: E402
from fideslang.models import PrivacyDeclaration, Taxonomy  # noqa: E402
from fideslang.parse import load_manifests_into_taxonomy  # noqa: E402
from fideslang.relationships import get_referenced_missing_keys  # noqa: E402


def upwards(key):
    """A key and those above it."""
    parts = key.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def matched(rule, declared):
    """The declared keys that a part of a rule is about: those in it or below, or, for OTHER, those that are not."""
    inside = {key for key in declared if upwards(key) & set(rule.values)}
    return {"ANY": inside, "OTHER": set(declared) - inside}[rule.matches.value]


def violated(policy, declaration):
    return any(
        matched(rule.data_categories, declaration.data_categories)
        and matched(rule.data_uses, [declaration.data_use])
        and matched(rule.data_subjects, declaration.data_subjects)
        for rule in policy.rules
    )


def read(folder):
    manifests = ingest_manifests(folder)
    taxonomy = load_manifests_into_taxonomy(manifests)
    whole = Taxonomy.model_validate(
        {name: [*getattr(taxonomy, name), *getattr(DEFAULT_TAXONOMY, name)] for name in Taxonomy.model_fields}
    )
    (system,), (policy,), (subject,) = taxonomy.system, taxonomy.policy, taxonomy.data_subject
    declared, refused = [], []
    for category in taxonomy.data_category:
        for use in [*taxonomy.data_use, *DEFAULT_TAXONOMY.data_use[:3]]:
            asked = PrivacyDeclaration(
                data_categories=[category.fides_key], data_use=use.fides_key, data_subjects=[subject.fides_key]
            )
            pair = [category.name, use.name]
            if violated(policy, asked):
                refused.append(pair)
            if any(
                declaration.data_use == use.fides_key and upwards(category.fides_key) & set(declaration.data_categories)
                for declaration in system.privacy_declarations
            ):
                declared.append(pair)
    return {
        "missing": sorted(get_referenced_missing_keys(whole)),
        "declared": declared,
        "refused": refused,
        "asked": [[category.name, use.name] for category in taxonomy.data_category for use in taxonomy.data_use],
        "violations": [one.name for one in system.privacy_declarations if violated(policy, one)],
        "bases": {
            one.name: one.legal_basis_for_processing and one.legal_basis_for_processing.value
            for one in system.privacy_declarations
        },
        "rights": subject.rights and [right.value for right in subject.rights.values],
        "fields": {
            f"{collection.name}.{field.name}": field.data_categories
            for dataset in taxonomy.dataset
            for collection in dataset.collections
            for field in collection.fields
        },
        "datasets": system.dataset_references,
    }


sys.stdout.write(json.dumps([read(folder) for folder in sys.argv[1:]]))
