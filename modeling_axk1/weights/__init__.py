"""Safetensors checkpoints: name, read, plan, write and check their tensors, on any machine and without torch.

    names        config -> every tensor's name, shape and meaning; parameters total and active
    dtypes       the format's element types and their widths
    header       read and validate the header of one safetensors file
    store        where a checkpoint's files lie: a folder
    store_http   its siblings on the web: a hub's repository, a web server's folder
    ranges       parts of files over HTTP, whole or not at all
    place        what people name a place by -> its store
    checkpoint   its index, its shards, and whether they agree
    coverage     what a checkpoint lacks, has too much or has in another shape, against its config
    plan         which tensor goes into which shard (pure)
    write        RawTensor -> shards and index, the index last
    sparse       a checkpoint of holes, to rehearse with
    sizes        numbers of bytes and parameters as people say them
    inspect      what a checkpoint holds, from its headers
    verify       everything that can be wrong with a checkpoint, as a list
    values       NaN and infinity by bit patterns
    facts        what one reading of a file tells: digests, and values that are no numbers
    state        the facts of a run that was stopped
    survey       the facts of many files, on all cores
    listing      which files a release consists of
    manifest     MANIFEST.json: what every file and tensor must be
    record       write MANIFEST.json and SHA256SUMS
    claims      compare files with them
    sign         key pairs and signatures
    check        every file against manifest, sums and signature
    diff         two checkpoints compared weight by weight
    diff_report  what that found, for people and machines
    deviation    how far the values of a weight are apart
    strict_json  JSON without duplicates, surprises or tracebacks

Whoever needs one imports it from its module, so that nobody pays for the others.
"""
