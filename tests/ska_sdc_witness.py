"""Score catalogues with the official package `ska-sdc`: JSON of cases on stdin, JSON of its results on stdout.

Runs in an environment of its own, without astrokeras: pip install ska-sdc "pandas<3" "setuptools<81".
"""

import json
import logging
import sys
import warnings


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    import pandas
    from ska_sdc import Sdc1Scorer, Sdc2Scorer

    results = []
    for case in json.load(sys.stdin):
        tables = [pandas.DataFrame(case[what]).dropna().reset_index(drop=True) for what in ("submission", "truth")]
        if case["challenge"] == "SDC1":
            scorer = Sdc1Scorer(*tables, case["frequency"])
            scorer.run(mode=case["mode"], train=case["train"], detail=True)
        else:
            scorer = Sdc2Scorer(*tables)
            scorer.run(detail=True)
        score = scorer.score
        result = {"score": score.value, "n_detections": score.n_det, "n_match": score.n_match, "n_bad": score.n_bad}
        result |= {"n_false": score.n_false, "match_score": score.score_det, "accuracy": score.acc_pc / 100}
        if score.n_match:
            result["accuracies"] = score.scores_df.drop(columns="id").mean().to_dict()
            matched = score.match_df.sort_values("id")
            result["id"], result["id_t"] = (matched[name].tolist() for name in ("id", "id_t"))
            result["distance"] = matched["multi_d_err"].tolist()
        results.append(result)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
